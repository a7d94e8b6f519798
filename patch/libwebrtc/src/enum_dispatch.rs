/// Writes methods of an enum that call the method of the same name on whichever variant is there.
///
/// Part of the API: the SDK invokes it as `libwebrtc::enum_dispatch!`.
#[macro_export]
macro_rules! enum_dispatch {
    ($variants:tt; $($vis:vis fn $name:ident $args:tt -> $ret:ty;)+) => {
        $( $crate::enum_dispatch!(@method $variants; $vis fn $name $args -> $ret); )+
    };
    (@method $variants:tt; $vis:vis fn $name:ident ($this:ident : $this_ty:ty $(, $arg:ident : $arg_ty:ty)*) -> $ret:ty) => {
        #[inline]
        $vis fn $name($this: $this_ty $(, $arg: $arg_ty)*) -> $ret {
            $crate::enum_dispatch!(@arms $variants; $this, $name, ($($arg),*))
        }
    };
    (@arms [$($variant:ident),+]; $this:ident, $name:ident, $args:tt) => {
        match $this {
            $( Self::$variant(inner) => inner.$name $args, )+
        }
    };
}
