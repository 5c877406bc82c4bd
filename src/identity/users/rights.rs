//! Who may give which role.

use super::UserError;
use crate::principal::{Permission, Principal, Role};

/// A role is given and taken by those who have at least its rights: an owner gives the roles of a dealer in the own company, the house
/// any role whose permissions the giver has.
pub fn may_give(giver: &Principal, role: Role, company_id: Option<i64>) -> Result<(), UserError> {
    let refused = Err(UserError::RoleNotYours(role));
    if !giver.may(Permission::UsersEdit) {
        return refused;
    }
    match company_id {
        Some(company) if !giver.scope().covers(company) => refused,
        None if !giver.scope().is_house() => refused,
        _ if role.is_dealer() => Ok(()),
        _ if giver.scope().is_house() && role.permissions().iter().all(|permission| giver.may(permission)) => Ok(()),
        _ => refused,
    }
}

/// Whoever has the machine: the command line.
pub fn operator() -> Principal {
    Principal::user(0, Role::SuperAdmin, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{Permissions, PrincipalKind};

    #[test]
    fn nobody_gives_more_than_they_have() {
        let admin = Principal::user(1, Role::SuperAdmin, None);
        let owner = Principal::user(2, Role::DealerOwner, Some(7));
        let sales = Principal::user(3, Role::SalesManager, None);
        let kind = PrincipalKind::ApiKey { id: 1, prefix: "abcdefgh".to_owned() };
        let permissions = Permissions::of(&[Permission::UsersEdit, Permission::OrdersView]);
        let key = Principal { kind, role: None, permissions, company: None };
        for role in Role::ALL {
            let company = role.is_dealer().then_some(7);
            assert!(may_give(&admin, role, company).is_ok(), "{role:?}");
            assert_eq!(may_give(&owner, role, company).is_ok(), role.is_dealer(), "{role:?}");
            assert!(may_give(&owner, role, Some(8)).is_err() && may_give(&owner, role, None).is_err(), "{role:?}");
            assert!(may_give(&sales, role, company).is_err(), "{role:?}");
            assert_eq!(may_give(&key, role, company).is_ok(), role.is_dealer(), "{role:?}");
        }
    }
}
