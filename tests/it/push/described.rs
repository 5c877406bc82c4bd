//! The routes answer nothing that their description does not say.

use super::site::Site;
use crate::support::tester::no_answer_is_a_surprise;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_are_answered_as_it_is_described() {
    let site = Site::new().await;
    no_answer_is_a_surprise(site.address, &format!("X-API-Key: {}", site.key), "/api/integration").await;
}
