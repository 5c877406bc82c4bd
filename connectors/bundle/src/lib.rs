//! The connectors that this build knows.

use kopru_sdk::Descriptor;

/// Sorted by kind.
pub const CONNECTORS: &[Descriptor] = &[];
