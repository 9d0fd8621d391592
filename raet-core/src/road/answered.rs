//! Which transactions of others this build answers.
//!
//! What exists only while one is answered holds such a token. Without the feature there is none: then the
//! compiler knows that all of that can never be, and leaves the code for it out.

/// Joins that others begin.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Joins {
    #[cfg(feature = "joinent")]
    Answered,
}

/// Allows that others begin.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Allows {
    #[cfg(feature = "allowent")]
    Answered,
}

impl Joins {
    /// The token; `None` where they are not answered.
    #[cfg(feature = "joinent")]
    pub(crate) const TOKEN: Option<Self> = Some(Self::Answered);
    #[cfg(not(feature = "joinent"))]
    pub(crate) const TOKEN: Option<Self> = None;
}

impl Allows {
    /// The token; `None` where they are not answered.
    #[cfg(feature = "allowent")]
    pub(crate) const TOKEN: Option<Self> = Some(Self::Answered);
    #[cfg(not(feature = "allowent"))]
    pub(crate) const TOKEN: Option<Self> = None;
}
