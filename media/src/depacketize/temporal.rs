//! What can be decoded after a loss, told by temporal layers.
//!
//! VP8 and VP9 number the pictures of the base layer (TL0PICIDX), and each picture says which one it stands on. So the
//! loss of an upper layer's picture, three in four of a three-layer stream, costs that picture and no more.

/// Where a picture stands among the temporal layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TemporalIndex {
    /// Counts base-layer pictures: this one, or the one this stands on.
    pub(super) tl0: u8,
    /// 0 is the base layer.
    pub(super) layer: u8,
    /// It refers to the base layer alone (Y of VP8).
    pub(super) sync: bool,
    /// Pictures of higher layers after it refer to nothing of those layers before it (U of VP9).
    pub(super) switching_up: bool,
}

/// Follows which pictures have been decodable.
#[derive(Debug, Default)]
pub(super) struct TemporalChain {
    /// All of the base layer since the last key frame is there.
    base_whole: bool,
    last_tl0: Option<u8>,
    /// Pictures of layers up to this one refer to nothing that is missing; `None`: of all layers.
    whole_up_to: Option<u8>,
}

impl TemporalChain {
    /// Something is missing before the next picture.
    pub(super) fn lost(&mut self) {
        self.whole_up_to = Some(0);
        // Without numbers, the missing one may be what all others stand on.
        self.base_whole &= self.last_tl0.is_some();
    }

    pub(super) fn keyframe(&mut self, index: Option<TemporalIndex>) {
        *self = Self {
            base_whole: true,
            last_tl0: index.map(|index| index.tl0),
            whole_up_to: None,
        };
    }

    /// Whether a picture that is no key frame can be decoded.
    pub(super) fn decodable(&mut self, index: Option<TemporalIndex>) -> bool {
        let Some(whole_up_to) = self.whole_up_to else {
            if let Some(index) = index {
                self.last_tl0 = Some(index.tl0);
            }
            return self.base_whole;
        };
        let (true, Some(index), Some(last_tl0)) = (self.base_whole, index, self.last_tl0) else {
            self.base_whole = false;
            return false;
        };
        let expected = if index.layer == 0 {
            last_tl0.wrapping_add(1)
        } else {
            last_tl0
        };
        self.base_whole = index.tl0 == expected;
        self.last_tl0 = Some(index.tl0);
        if !self.base_whole {
            return false;
        }
        let whole = index.layer <= whole_up_to;
        if whole && index.switching_up {
            self.whole_up_to = None;
        } else if index.sync && index.layer == whole_up_to + 1 {
            self.whole_up_to = Some(index.layer);
        }
        whole || index.sync
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! picture {
        ($tl0:expr, $layer:expr, $sync:expr) => {
            Some(TemporalIndex {
                tl0: $tl0,
                layer: $layer,
                sync: $sync,
                switching_up: false,
            })
        };
    }

    fn after_key_and_loss() -> TemporalChain {
        let mut chain = TemporalChain::default();
        chain.keyframe(picture!(255, 0, false));
        assert!(chain.decodable(picture!(255, 2, true)));
        chain.lost();
        chain
    }

    #[test]
    fn nothing_is_decodable_before_a_key_frame() {
        assert!(!TemporalChain::default().decodable(picture!(1, 0, false)));
        assert!(!TemporalChain::default().decodable(None));
    }

    #[test]
    fn a_lost_upper_picture_costs_only_upper_pictures() {
        let mut chain = after_key_and_loss();
        assert!(!chain.decodable(picture!(255, 2, false)), "may refer to the lost one");
        assert!(
            chain.decodable(picture!(0, 0, false)),
            "the next of the base layer: none is missing"
        );
        assert!(!chain.decodable(picture!(0, 2, false)));
        assert!(chain.decodable(picture!(0, 1, true)), "refers to the base layer alone");
        assert!(chain.decodable(picture!(0, 1, false)));
        assert!(!chain.decodable(picture!(0, 2, false)));
        assert!(chain.decodable(picture!(0, 2, true)));
        assert!(chain.decodable(picture!(0, 2, false)));
        assert!(chain.decodable(picture!(1, 0, false)));
    }

    #[test]
    fn a_lost_base_picture_costs_all_up_to_the_key_frame() {
        let mut chain = after_key_and_loss();
        assert!(!chain.decodable(picture!(1, 0, false)), "number 0 is missing");
        assert!(!chain.decodable(picture!(2, 0, false)));
        chain.keyframe(picture!(3, 0, false));
        assert!(chain.decodable(picture!(3, 2, false)));
    }

    #[test]
    fn an_upper_picture_on_a_lost_base_tells_of_the_loss() {
        let mut chain = after_key_and_loss();
        assert!(!chain.decodable(picture!(0, 1, true)));
        assert!(!chain.decodable(picture!(1, 0, false)));
    }

    #[test]
    fn where_layers_may_be_switched_up_all_is_whole_again() {
        let picture = |tl0, layer, switching_up| {
            Some(TemporalIndex {
                tl0,
                layer,
                sync: false,
                switching_up,
            })
        };
        let mut chain = TemporalChain::default();
        chain.keyframe(picture(0, 0, true));
        chain.lost();
        assert!(
            !chain.decodable(picture(0, 1, true)),
            "may itself refer to the lost one"
        );
        assert!(!chain.decodable(picture(0, 2, false)));
        assert!(chain.decodable(picture(1, 0, true)));
        assert!(chain.decodable(picture(1, 2, false)) && chain.decodable(picture(1, 1, false)));
    }

    #[test]
    fn without_numbers_any_loss_may_be_the_base() {
        let mut chain = TemporalChain::default();
        chain.keyframe(None);
        assert!(chain.decodable(None));
        chain.lost();
        assert!(!chain.decodable(None));
        chain.keyframe(None);
        assert!(chain.decodable(None));
    }
}
