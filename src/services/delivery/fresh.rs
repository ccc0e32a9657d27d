//! A plain PUT on a connection that nothing was sent on before: for servers and proxies that lose their place on one that is used again.

use std::sync::Arc;

use crate::client::Receipt;

use super::{Delivery, DeliveryError, Upload};

impl Delivery {
    /// Sends one file in one request, on a connection of its own.
    pub(super) async fn put_alone(self: &Arc<Self>, upload: Upload<'_>) -> Result<Receipt, DeliveryError> {
        let client = self.client.on_fresh_connections()?;
        self.put(&client, upload).await
    }
}
