use quickcheck::TestResult;
use std::vec;

use super::{check, std};
use crate::wire::*;

fn message(kind: HeadKind) -> Head {
    Head {
        kind,
        source: 21,
        destination: 11,
        session: 2,
        transaction_id: 3,
        body: BodyKind::Json,
        coat: CoatKind::Nacl,
        foot: FootKind::Nacl,
        ..Head::default()
    }
}

#[test]
fn a_coat_is_cut_as_the_reference_cuts_it() {
    // Recorded from 0.6.8: (head kind, bytes of coat, segments, bytes of a segment).
    let recorded = [
        (HeadKind::Native, 889, 1, 889),
        (HeadKind::Native, 890, 2, 862),
        (HeadKind::Native, 64_111, 75, 862),
        (HeadKind::Native, 0x111df, 82, 862),
        (HeadKind::Json, 3111, 4, 806),
        (HeadKind::Json, 70_111, 87, 806),
    ];
    for (kind, coat_len, count, size) in recorded {
        assert_eq!(
            plan(&message(kind), coat_len, MAX_PACKET),
            Ok(Plan { count, size })
        );
    }
    let head = message(HeadKind::Native);
    assert_eq!(plan(&head, 0, MAX_PACKET), Ok(Plan { count: 1, size: 0 }));
    assert_eq!(
        plan(
            &Head {
                segments: 9,
                ..head
            },
            890,
            MAX_PACKET
        )
        .unwrap()
        .size,
        862
    );
}

#[test]
fn what_never_fits_is_refused() {
    let head = message(HeadKind::Native);
    let most = MAX_SEGMENTS as usize * 862;
    assert_eq!(plan(&head, most, MAX_PACKET).unwrap().count, MAX_SEGMENTS);
    assert_eq!(plan(&head, most + 1, MAX_PACKET), Err(TooLong));
    assert!(plan(&head, MAX_COAT, 65_000).is_ok());
    assert_eq!(plan(&head, MAX_COAT + 1, 65_000), Err(TooLong));
    let least = head_len(&head) + SIGNATURE + 27;
    assert_eq!(plan(&head, 1000, least + 1).unwrap().size, 1);
    assert_eq!(plan(&head, 1000, least), Err(TooLong));
    assert_eq!(plan(&head, 1000, 10), Err(TooLong));
}

#[test]
fn every_segment_fits_its_packet() {
    for kind in [HeadKind::Native, HeadKind::Json] {
        let head = Head {
            flags: Flags::SEGMENTED,
            ..message(kind)
        };
        let plan = plan(&head, 50_000_000, MAX_PACKET).unwrap();
        let last = Head {
            segment: plan.count - 1,
            segments: plan.count,
            coat_len: 50_000_000,
            ..head
        };
        assert!(head_len(&last) + plan.size as usize + SIGNATURE <= MAX_PACKET);
    }
}

#[test]
fn a_shape_is_refused_at_once_if_none_fits() {
    for (coat_len, count) in [
        (0, 0),
        (5, 0),
        (1, 2),
        (0, 2),
        (10, 7),
        (70_000, 65_536),
        (u32::MAX, 2),
    ] {
        assert_eq!(
            Shape::new(coat_len, count),
            Err(ShapeError::Impossible),
            "{coat_len} {count}"
        );
    }
    for (coat_len, count) in [(0, 1), (2, 2), (11, 6), (65_535, 65_535), (67_107_840, 2)] {
        assert!(Shape::new(coat_len, count).is_ok(), "{coat_len} {count}");
    }
}

#[test]
fn the_first_segment_settles_the_length() {
    let mut shape = Shape::new(10, 3).unwrap();
    assert_eq!(shape.place(3, 4), Err(ShapeError::NumberOutside));
    for wrong in [0, 3, 5, 11, usize::MAX] {
        assert_eq!(
            shape.place(0, wrong),
            Err(ShapeError::LengthDiffers),
            "{wrong}"
        );
    }
    assert_eq!(shape.place(1, 4), Ok(4..8));
    assert_eq!(shape.place(2, 2), Ok(8..10));
    assert_eq!(shape.place(2, 2), Ok(8..10));
    assert_eq!(shape.place(2, 4), Err(ShapeError::LengthDiffers));
    assert_eq!(shape.place(0, 4), Ok(0..4));

    // The last one tells as much as any.
    let mut shape = Shape::new(11, 3).unwrap();
    assert_eq!(shape.place(2, 2), Err(ShapeError::LengthDiffers));
    assert_eq!(shape.place(2, 5), Err(ShapeError::LengthDiffers));
    assert_eq!(shape.place(2, 1), Ok(10..11));
    assert_eq!(shape.place(0, 4), Err(ShapeError::LengthDiffers));
    assert_eq!(shape.place(0, 5), Ok(0..5));

    let mut whole = Shape::new(7, 1).unwrap();
    assert_eq!(whole.place(0, 6), Err(ShapeError::LengthDiffers));
    assert_eq!(whole.place(0, 7), Ok(0..7));
    let mut empty = Shape::new(0, 1).unwrap();
    assert_eq!(empty.place(0, 1), Err(ShapeError::LengthDiffers));
    assert_eq!(empty.place(0, 0), Ok(0..0));
}

#[test]
fn what_a_plan_cuts_a_shape_takes_in_any_order() {
    fn holds(coat_len: u16, packet_max: u16, first: u32) -> TestResult {
        let head = message(HeadKind::Native);
        let coat_len = usize::from(coat_len);
        let Ok(plan) = plan(&head, coat_len, usize::from(packet_max)) else {
            return TestResult::discard();
        };
        let mut shape = Shape::new(coat_len as u32, plan.count).unwrap();
        let mut covered = vec![false; coat_len];
        for step in 0..plan.count {
            let number = (first % plan.count + step) % plan.count;
            let range = plan.range(coat_len, number).unwrap();
            if shape.place(number, range.len()) != Ok(range.clone()) {
                return TestResult::failed();
            }
            for byte in &mut covered[range] {
                assert!(!core::mem::replace(byte, true));
            }
        }
        TestResult::from_bool(
            covered.iter().all(|byte| *byte) && plan.range(coat_len, plan.count).is_none(),
        )
    }
    check(3, holds as fn(u16, u16, u32) -> TestResult);
}
