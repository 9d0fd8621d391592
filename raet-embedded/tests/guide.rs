//! What the guide says of sizes.

use raet_core::storage::{Fixed, Storage};
use raet_embedded::Memory;

/// The longest message of a size.
const fn longest<S: Storage>() -> usize {
    S::LIMITS.message
}

#[test]
fn messages_are_as_long_as_the_guide_says() {
    assert!(longest::<Fixed<1, 2, 4096>>() >= 2000);
    assert!(longest::<Fixed<2, 2, 5120>>() >= 2500);
    assert_eq!(longest::<Fixed<2, 4, 8192>>(), 4055);
    assert!(longest::<Fixed<4, 8, 16384>>() >= 8150);
}

/// The figures are of 32 bits; here handles and lengths are twice as wide.
#[test]
fn memory_grows_as_the_guide_says() {
    let figures = [
        (Memory::<Fixed<1, 1, 1024>>::RAM, 7800),
        (Memory::<Fixed<1, 2, 4096>>::RAM, 11_448),
        (Memory::<Fixed<2, 2, 5120>>::RAM, 14_472),
        (Memory::<Fixed<2, 4, 8192>>::RAM, 18_680),
        (Memory::<Fixed<4, 8, 16384>>::RAM, 33_136),
    ];
    for (here, said) in figures {
        let most = if size_of::<usize>() == 4 {
            said
        } else {
            said * 11 / 10
        };
        assert!(here <= most, "{here} bytes, {said} said");
    }
}
