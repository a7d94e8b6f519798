//! How much room is left, and whether that is enough.

use std::path::Path;

use super::DiskError;
use crate::StoreConfig;

/// How much must stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceFloor {
    /// In bytes.
    pub bytes: u64,
    /// As a part of the whole, 0 to 99.
    pub percent: u8,
}

impl From<&StoreConfig> for SpaceFloor {
    fn from(config: &StoreConfig) -> Self {
        Self {
            bytes: config.min_free_bytes,
            percent: config.min_free_percent,
        }
    }
}

impl SpaceFloor {
    /// The larger of the two rules, for a disk of `total` bytes.
    pub fn bytes_of(self, total: u64) -> u64 {
        let percent = u128::from(total) * u128::from(self.percent) / 100;
        self.bytes.max(u64::try_from(percent).unwrap_or(u64::MAX))
    }
}

/// The disk under a folder, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    pub total: u64,
    /// What we may still use: without the part that is reserved for root.
    pub available: u64,
    /// What must stay free.
    pub floor: u64,
}

impl DiskSpace {
    /// Asks the kernel (`statvfs`).
    pub(crate) fn of(path: &Path, floor: SpaceFloor) -> Result<Self, DiskError> {
        let stats = fs4::statvfs(path).map_err(DiskError::during("ask for the free space of", path))?;
        Ok(Self {
            total: stats.total_space(),
            available: stats.available_space(),
            floor: floor.bytes_of(stats.total_space()),
        })
    }

    /// Whether recordings may begin or go on.
    pub fn is_enough(self) -> bool {
        self.available > self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_rule_counts() {
        let floor = |bytes, percent| SpaceFloor { bytes, percent };
        assert_eq!(floor(100, 0).bytes_of(10_000), 100);
        assert_eq!(floor(100, 2).bytes_of(10_000), 200);
        assert_eq!(floor(0, 0).bytes_of(10_000), 0);
        assert_eq!(floor(0, 99).bytes_of(u64::MAX), u64::MAX / 100 * 99 + 15 * 99 / 100);
    }

    #[test]
    fn enough_is_more_than_the_floor() {
        let space = |available, floor| DiskSpace {
            total: 1000,
            available,
            floor,
        };
        assert!(space(101, 100).is_enough());
        assert!(!space(100, 100).is_enough());
        assert!(!space(0, 0).is_enough());
    }

    #[test]
    fn asks_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let floor = SpaceFloor { bytes: 1, percent: 0 };
        let space = DiskSpace::of(dir.path(), floor).unwrap();
        assert!(0 < space.available && space.available <= space.total);
        assert_eq!(space.floor, 1);
        let missing = DiskSpace::of(&dir.path().join("missing"), floor).unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
    }
}
