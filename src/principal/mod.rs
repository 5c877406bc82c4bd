//! Who acts, what that one may do, and whose data that one sees.
//!
//! Invariants
//! - The nine roles and their permissions stand in one table ([`Role::permissions`]) and are asked in one place
//!   ([`Principal::may`]).
//! - A query on dealer data takes a [`Scope`]. A scope comes from a principal; who works for the house says so in words
//!   ([`Scope::house`]).
//!
//! Deliberately absent: passwords, tokens, keys, the store. This room knows what a caller is, not how that was found out.

mod permission;
mod role;
mod scope;

pub use permission::{Permission, Permissions};
pub use role::Role;
pub use scope::Scope;

/// A caller whose identity was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub kind: PrincipalKind,
    /// Null for API keys.
    pub role: Option<Role>,
    pub permissions: Permissions,
    /// The dealer company that the caller belongs to (`commerce.customer.id`); `None` for the house.
    pub company: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    User { id: i64 },
    ApiKey { id: i64, prefix: String },
}

impl Principal {
    pub fn user(id: i64, role: Role, company: Option<i64>) -> Principal {
        Principal { kind: PrincipalKind::User { id }, role: Some(role), permissions: role.permissions(), company }
    }

    /// As audit rows, events and idempotency keys name it: `user:12`, `api-key:abcd`.
    pub fn actor(&self) -> String {
        match &self.kind {
            PrincipalKind::User { id } => format!("user:{id}"),
            PrincipalKind::ApiKey { prefix, .. } => format!("api-key:{prefix}"),
        }
    }

    pub fn user_id(&self) -> Option<i64> {
        match self.kind {
            PrincipalKind::User { id } => Some(id),
            PrincipalKind::ApiKey { .. } => None,
        }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Whose data this caller sees. A dealer's role without a company sees nobody's.
    pub fn scope(&self) -> Scope {
        match (self.company, self.role) {
            (Some(company), _) => Scope::company(company),
            (None, Some(role)) if role.is_dealer() => Scope::nobody(),
            (None, _) => Scope::house(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dealer_sees_one_company_and_one_without_a_company_nothing() {
        assert_eq!(Principal::user(1, Role::DealerOwner, Some(7)).scope(), Scope::company(7));
        assert_eq!(Principal::user(1, Role::DealerOwner, None).scope(), Scope::nobody());
        assert_eq!(Principal::user(1, Role::SalesManager, None).scope(), Scope::house());
    }

    #[test]
    fn a_principal_may_what_its_role_may() {
        let viewer = Principal::user(3, Role::DealerViewer, Some(7));
        assert!(viewer.may(Permission::OrdersView));
        assert!(!viewer.may(Permission::OrdersCreate));
        assert_eq!(viewer.actor(), "user:3");
    }
}
