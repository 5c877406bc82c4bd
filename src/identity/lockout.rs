//! Waits after failed sign-ins.
//!
//! Invariants
//! - Failures are counted by account and address. From the fifth on each one doubles the wait of that address, up to a quarter of
//!   an hour: a guesser gets a hundred tries a day.
//! - All addresses together make an account wait a minute at most, and never an address from which it was signed in to in
//!   the last thirty days: a stranger cannot lock anybody out for long.
//! - An account that does not exist waits like any other.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::email::Email;

/// Failures without a wait, from one address and from all.
const FREE_HERE: i32 = 5;
const FREE_EVERYWHERE: i32 = 50;
const FIRST_WAIT: i64 = 30;
const LONGEST_WAIT_HERE: i64 = 15 * 60;
const LONGEST_WAIT_EVERYWHERE: i64 = 60;

/// Which account is tried, and from where.
pub struct Attempt {
    account: [u8; 32],
    email: Option<String>,
    address: String,
}

impl Attempt {
    pub fn new(email: Option<&Email>, typed: &str, address: IpAddr) -> Attempt {
        let account = email.map_or_else(|| super::email::account(typed), Email::account);
        Attempt { account, email: email.map(|email| email.as_str().to_owned()), address: place(address) }
    }
}

/// An IPv6 network of 64 bits, which one subscriber has whole, counts as one.
fn place(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            format!("{}/64", std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

fn wait(failures: i32, free: i32, longest: i64) -> Option<TimeDelta> {
    let over = u32::try_from(failures - free).ok()?;
    Some(TimeDelta::seconds((FIRST_WAIT << over.min(20)).min(longest)))
}

/// Until when this attempt has to wait.
pub async fn locked_until<'e>(
    db: impl PgExecutor<'e>,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select max(f.locked_until) from identity.sign_in_failure f
         where f.account = $1 and f.locked_until > $3
           and (f.address = $2::text::inet
                or f.address is null and not exists (
                  select from identity.session s join identity.app_user u on u.id = s.user_id
                  where u.email = $4 and s.address <<= $2::text::inet and s.last_used_at > $3 - interval '30 days'))",
        &attempt.account[..],
        attempt.address,
        now,
        attempt.email,
    )
    .fetch_one(db)
    .await
}

/// Counts a failure. Gives until when the next attempt has to wait.
pub async fn failed(
    tx: &mut PgConnection,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let counted = sqlx::query!(
        r#"insert into identity.sign_in_failure as f (account, address, failures, last_at)
           select $1, place, 1, $3 from (values ($2::text::inet), (null)) as v (place)
           on conflict on constraint sign_in_failure_key do update
             set failures = case when f.last_at < $3 - interval '1 hour' then 1 else f.failures + 1 end, last_at = $3
           returning address is not null as "here!", failures"#,
        &attempt.account[..],
        attempt.address,
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    let waits = |here: bool| {
        let failures = counted.iter().find(|row| row.here == here).map_or(0, |row| row.failures);
        let (free, longest) =
            if here { (FREE_HERE, LONGEST_WAIT_HERE) } else { (FREE_EVERYWHERE, LONGEST_WAIT_EVERYWHERE) };
        wait(failures, free, longest).map(|wait| now + wait)
    };
    let (here, everywhere) = (waits(true), waits(false));
    sqlx::query!(
        "update identity.sign_in_failure
         set locked_until = case when address is null then $4::timestamptz else $3::timestamptz end
         where account = $1 and (address = $2::text::inet or address is null)",
        &attempt.account[..],
        attempt.address,
        here,
        everywhere,
    )
    .execute(tx)
    .await?;
    Ok(here.max(everywhere))
}

/// Somebody has proven who they are: their own failures are forgotten.
pub async fn forgive(tx: &mut PgConnection, attempt: &Attempt) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from identity.sign_in_failure
         where account = $1 and (address = $2::text::inet or address is null)",
        &attempt.account[..],
        attempt.address,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The same for every address: a password was chosen by a link that only its owner can have.
pub async fn forgive_everywhere(tx: &mut PgConnection, email: &Email) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from identity.sign_in_failure where account = $1", &email.account()[..]).execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        let here = [4, 5, 6, 7, 9, 10, 1_000].map(|n| wait(n, FREE_HERE, LONGEST_WAIT_HERE).map(|w| w.num_seconds()));
        assert_eq!(here, [None, Some(30), Some(60), Some(120), Some(480), Some(900), Some(900)]);
        let all =
            [49, 50, 51, 1_000].map(|n| wait(n, FREE_EVERYWHERE, LONGEST_WAIT_EVERYWHERE).map(|w| w.num_seconds()));
        assert_eq!(all, [None, Some(30), Some(60), Some(60)]);
    }

    #[test]
    fn a_network_of_one_subscriber_is_one_place() {
        let place = |text: &str| place(text.parse().expect("an address"));
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert_eq!(place("::ffff:203.0.113.9"), "203.0.113.9");
    }
}
