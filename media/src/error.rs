/// What a failure means to whoever has to decide what to do about it: one table maps kinds to HTTP status, retry and
/// log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule its sender could have kept: refuse it and say which.
    Invalid,
    /// Bytes that were ours to keep are damaged or cut off.
    Corrupt,
    /// Well-formed, but something this version does not do.
    Unsupported,
    /// A state does not allow the step that was asked for.
    Conflict,
    /// The reader or writer underneath failed.
    Io,
}
