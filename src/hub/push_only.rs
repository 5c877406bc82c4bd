//! Systems that nobody calls: they push what they have.

use kopru_sdk::{Connector, Ctx, Fault, async_trait};

/// The kind of such an instance: `[connectors.NAME] kind = "push"`.
pub const KIND: &str = "push";

/// There is nothing to reach, so nothing can be wrong with it.
#[derive(Debug)]
pub struct PushOnly;

#[async_trait]
impl Connector for PushOnly {
    async fn check(&self, _cx: &Ctx) -> Result<(), Fault> {
        Ok(())
    }
}
