//! The commerce API answers nothing that its description does not say, whoever asks.

use kopru::{http::RateLimits, principal::Role};

use crate::support::{
    served::{Served, generous},
    tester::no_answer_is_a_surprise,
};

/// All but what ends the session of who asks.
const WITHIN_A_SESSION: &str = "/api/v1/(?!auth/logout|me/sessions|me/password)";

async fn asked_by(role: Role) {
    let served = Served::with_limits(RateLimits { enabled: false, ..generous() }).await;
    let company =
        if role.is_dealer() { Some(crate::support::people::company(served.pool(), "120.01").await) } else { None };
    let token = served.token(role, company).await;
    no_answer_is_a_surprise(served.address, &format!("Authorization: Bearer {token}"), WITHIN_A_SESSION).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_super_admin_is_answered_as_it_is_described() {
    asked_by(Role::SuperAdmin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dealer_is_answered_as_it_is_described() {
    asked_by(Role::DealerOwner).await;
}
