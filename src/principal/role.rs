//! The nine roles, and what each may do. This is the one table of it.

use super::{Permission, Permissions};
use Permission::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    DealerOwner,
    DealerPurchasing,
    DealerFinance,
    DealerViewer,
    SuperAdmin,
    SalesManager,
    FinanceManager,
    CustomerService,
    ContentManager,
}

const DEALER_OWNER: Permissions = Permissions::of(&[
    ProductsView,
    StockView,
    OrdersCreate,
    OrdersView,
    OrdersCancel,
    CustomersView,
    AccountView,
    PaymentsView,
    PaymentsProcess,
    ShipmentsView,
    ReturnsCreate,
    ReturnsView,
    UsersView,
    UsersEdit,
]);
const DEALER_PURCHASING: Permissions = Permissions::of(&[
    ProductsView,
    StockView,
    OrdersCreate,
    OrdersView,
    OrdersCancel,
    CustomersView,
    PaymentsView,
    PaymentsProcess,
    ShipmentsView,
    ReturnsCreate,
    ReturnsView,
]);
const DEALER_FINANCE: Permissions = Permissions::of(&[
    ProductsView,
    OrdersView,
    CustomersView,
    AccountView,
    PaymentsView,
    PaymentsProcess,
    ShipmentsView,
    ReturnsView,
]);
const DEALER_VIEWER: Permissions = Permissions::of(&[ProductsView, OrdersView, ShipmentsView, ReturnsView]);
const SALES_MANAGER: Permissions = Permissions::of(&[
    ProductsView,
    PricesEdit,
    CostsView,
    StockView,
    OrdersCreate,
    OrdersView,
    OrdersCancel,
    OrdersApprove,
    CustomersView,
    CustomersEdit,
    CustomersApprove,
    AccountView,
    PaymentsView,
    ShipmentsView,
    ShipmentsCreate,
    ReturnsCreate,
    ReturnsView,
    ReturnsDecide,
    UsersView,
]);
const FINANCE_MANAGER: Permissions = Permissions::of(&[
    ProductsView,
    CostsView,
    StockView,
    OrdersView,
    CustomersView,
    CreditEdit,
    AccountView,
    PaymentsView,
    PaymentsProcess,
    ShipmentsView,
    ReturnsView,
]);
const CUSTOMER_SERVICE: Permissions = Permissions::of(&[
    ProductsView,
    StockView,
    OrdersCreate,
    OrdersView,
    OrdersCancel,
    CustomersView,
    AccountView,
    PaymentsView,
    ShipmentsView,
    ShipmentsCreate,
    ReturnsCreate,
    ReturnsView,
    UsersView,
]);
const CONTENT_MANAGER: Permissions = Permissions::of(&[
    ProductsView,
    ProductsCreate,
    ProductsEdit,
    ProductsDelete,
    ProductsOverride,
    PricesEdit,
    StockView,
    StockEdit,
]);

impl Role {
    pub const ALL: [Role; 9] = [
        Role::DealerOwner,
        Role::DealerPurchasing,
        Role::DealerFinance,
        Role::DealerViewer,
        Role::SuperAdmin,
        Role::SalesManager,
        Role::FinanceManager,
        Role::CustomerService,
        Role::ContentManager,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::DealerOwner => "dealer_owner",
            Role::DealerPurchasing => "dealer_purchasing",
            Role::DealerFinance => "dealer_finance",
            Role::DealerViewer => "dealer_viewer",
            Role::SuperAdmin => "super_admin",
            Role::SalesManager => "sales_manager",
            Role::FinanceManager => "finance_manager",
            Role::CustomerService => "customer_service",
            Role::ContentManager => "content_manager",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Belongs to a dealer company; the others work for the house.
    pub const fn is_dealer(self) -> bool {
        matches!(self, Role::DealerOwner | Role::DealerPurchasing | Role::DealerFinance | Role::DealerViewer)
    }

    pub const fn permissions(self) -> Permissions {
        match self {
            Role::DealerOwner => DEALER_OWNER,
            Role::DealerPurchasing => DEALER_PURCHASING,
            Role::DealerFinance => DEALER_FINANCE,
            Role::DealerViewer => DEALER_VIEWER,
            Role::SuperAdmin => Permissions::all(),
            Role::SalesManager => SALES_MANAGER,
            Role::FinanceManager => FINANCE_MANAGER,
            Role::CustomerService => CUSTOMER_SERVICE,
            Role::ContentManager => CONTENT_MANAGER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("admin"), None);
    }

    #[test]
    fn what_is_the_houses_is_no_dealers() {
        let house = [
            OrdersApprove,
            CostsView,
            CustomersEdit,
            CustomersApprove,
            CreditEdit,
            ProductsEdit,
            ProductsCreate,
            ProductsDelete,
            ProductsOverride,
            PricesEdit,
            StockEdit,
            ReturnsDecide,
            ShipmentsCreate,
            AuditView,
            HubView,
            HubOperate,
            HubConfigure,
        ];
        for role in Role::ALL.into_iter().filter(|role| role.is_dealer()) {
            for permission in house {
                assert!(!role.permissions().contains(permission), "{} {}", role.as_str(), permission.as_str());
            }
        }
    }

    #[test]
    fn only_the_super_admin_configures() {
        let configures = |role: &Role| role.permissions().contains(HubConfigure);
        assert_eq!(Role::ALL.into_iter().filter(configures).collect::<Vec<_>>(), [Role::SuperAdmin]);
    }
}
