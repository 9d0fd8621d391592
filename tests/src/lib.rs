//! What the tests of raet share.
