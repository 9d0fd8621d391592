extern crate std;

use std::collections::BTreeSet;
use std::string::{String, ToString};

use super::*;
use crate::crypto::WeakKey;
use crate::crypto::hex::HexError;
#[cfg(feature = "compact")]
use crate::keep::compact::CompactError;
use crate::storage::{BeyondCapacity, NoRoom};
use crate::wire::{NoSpace, TooLong};

/// Each is one line, in the style of those beside it, and no two are the same.
#[test]
fn what_went_wrong_is_told_in_a_line() {
    let texts = [
        SetupError::Limits(LimitsError::Remotes).to_string(),
        SetupError::Limits(LimitsError::Empty).to_string(),
        SetupError::Limits(LimitsError::Share).to_string(),
        SetupError::Limits(LimitsError::Message).to_string(),
        SetupError::Limits(LimitsError::Capacity).to_string(),
        SetupError::Name.to_string(),
        SetupError::BodyKind.to_string(),
        SetupError::Feature.to_string(),
        SetupError::Pace.to_string(),
        SetupError::Record.to_string(),
        Gone.to_string(),
        ConnectError::Full.to_string(),
        ConnectError::Address.to_string(),
        SendError::Gone.to_string(),
        SendError::Full.to_string(),
        SendError::TooLong.to_string(),
        SendError::NotMapping.to_string(),
        JudgeError::Unknown.to_string(),
        JudgeError::KeysChanged.to_string(),
        IntroduceError::Name.to_string(),
        IntroduceError::WeakKeys.to_string(),
        IntroduceError::OtherKeys.to_string(),
        IntroduceError::Full.to_string(),
        WeakKey.to_string(),
        HexError::Length.to_string(),
        HexError::Digit.to_string(),
        NoRoom::Now.to_string(),
        NoRoom::Never.to_string(),
        NoSpace.to_string(),
        TooLong.to_string(),
    ];
    for text in &texts {
        assert_line(text);
    }
    let different: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(different.len(), texts.len());
}

#[test]
fn what_a_person_can_act_on_is_named() {
    let beyond = BeyondCapacity {
        limit: 9,
        capacity: 8,
    };
    let text = beyond.to_string();
    assert_line(&text);
    assert!(text.contains('9') && text.contains('8'), "{text}");
    #[cfg(feature = "compact")]
    {
        let version = CompactError::Version(7).to_string();
        assert!(version.contains('7'), "{version}");
        for text in [
            version,
            CompactError::Foreign.to_string(),
            CompactError::Damaged.to_string(),
        ] {
            assert_line(&text);
        }
    }
}

fn assert_line(text: &str) {
    assert!(text.len() > 8 && text.len() < 100, "{text}");
    assert!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{text}");
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
}
