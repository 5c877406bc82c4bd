//! Orders, what the ERP has of them, what we know of that, and readings of its stock, in any order: what may be sold is never
//! more than there is, and when all is known it is all that there is.

use std::sync::atomic::Ordering;

use kopru_sdk::Pass;
use serde_json::{Value, json};

use super::Shop;
use crate::support::{dealers, hub::eventually, system::page};

const HISTORIES: u64 = 8;
const STEPS: usize = 14;
const THERE: i64 = 40;

/// Numbers that look thrown, the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

struct Placed {
    id: i64,
    pieces: i64,
    /// The ERP has it; we know that it has.
    is_there: bool,
    is_known: bool,
}

struct World<'s> {
    shop: &'s Shop,
    code: String,
    goods: i64,
    level: i64,
    orders: Vec<Placed>,
}

impl World<'_> {
    async fn begin(shop: &Shop, number: u64) -> World<'_> {
        let pool = shop.hub.pool();
        let code = format!("G{number}");
        let goods = dealers::product(pool, &code).await;
        let level: i64 = sqlx::query_scalar(
            "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
             select $1, id, $2, now(), now() from commerce.warehouse where code = '0' returning id",
        )
        .bind(goods)
        .bind(THERE)
        .fetch_one(pool)
        .await
        .expect("a level");
        shop.link("product", goods, &code).await;
        shop.link("stock", level, &format!("{code}|0")).await;
        World { shop, code, goods, level, orders: Vec::new() }
    }

    async fn may_be_sold(&self) -> i64 {
        let sql = format!("select available::bigint as n from commerce.stock_level where id = {}", self.level);
        self.shop.hub.row(&sql).await["n"].as_i64().expect("a figure")
    }

    /// As placing does it: held back under the level's lock, if there is enough.
    async fn place(&mut self, pieces: i64) {
        if self.may_be_sold().await < pieces {
            return;
        }
        let pool = self.shop.hub.pool();
        let (id, line) = dealers::order(pool, self.shop.dealer, self.goods, pieces, "confirmed").await;
        let level = self.level;
        self.shop
            .hub
            .execute(&format!(
                "insert into commerce.stock_reservation (order_id, line_id, stock_level_id, created_at, quantity, open)
                     values ({id}, {line}, {level}, now(), {pieces}, {pieces});
                 update commerce.stock_level set held = held + {pieces} where id = {level};
                 update commerce.sales_order_line set reserved = {pieces} where id = {line}"
            ))
            .await;
        self.orders.push(Placed { id, pieces, is_there: false, is_known: false });
    }

    async fn learn(&mut self, at: usize) {
        let (id, code) = (self.orders[at].id, format!("{}-{at}", self.code));
        self.shop.link("order", id, &code).await;
        self.shop.says_sent(id).await;
        (self.orders[at].is_there, self.orders[at].is_known) = (true, true);
    }

    /// The level as the ERP shows it at this moment.
    fn shown(&self) -> Value {
        let ordered: i64 = self.orders.iter().filter(|order| order.is_there).map(|order| order.pieces).sum();
        json!({ "CODE": self.code, "STOCKREF": 1, "INVENNO": 0, "ONHAND": THERE, "RESERVED": 0, "ACTSORDER": ordered,
            "AVAILABLE": THERE - ordered })
    }

    async fn holds(&self, history: &[String]) {
        let sold: i64 = self.orders.iter().map(|order| order.pieces).sum();
        let may = self.may_be_sold().await;
        assert!(may <= THERE - sold, "{} are there and {sold} sold, {may} may be sold: {history:?}", THERE);
    }

    async fn step(&mut self, dice: &mut Dice, history: &mut Vec<String>) {
        let open: Vec<usize> = (0..self.orders.len()).filter(|at| !self.orders[*at].is_known).collect();
        match dice.throw(3) {
            1 if !open.is_empty() => {
                let at = open[dice.throw(open.len())];
                self.orders[at].is_there = true;
                history.push(format!("there {at}"));
            }
            2 if !open.is_empty() => {
                let at = open[dice.throw(open.len())];
                self.learn(at).await;
                history.push(format!("known {at}"));
            }
            _ => {
                let pieces = i64::try_from(dice.throw(6)).unwrap_or(0) + 1;
                self.place(pieces).await;
                history.push(format!("place {pieces}"));
            }
        }
        self.holds(history).await;
    }

    async fn read_by(&mut self, way: Way, steps: usize, dice: &mut Dice, history: &mut Vec<String>) {
        match way {
            Way::Polled => self.read(steps, dice, history).await,
            Way::Pushed => self.push(steps, dice, history).await,
        }
    }

    /// The same by the source itself: steps before its figure is taken and between that and the push. Now and then a reading is
    /// overtaken by another one before it is pushed, and a level comes as part of none.
    async fn push(&mut self, steps: usize, dice: &mut Dice, history: &mut Vec<String>) {
        let mut number = self.shop.begins().await;
        history.push(format!("reading {number} begins"));
        for _ in 0..steps {
            self.step(dice, history).await;
        }
        let mut figure = self.figure();
        for _ in 0..dice.throw(2) {
            self.step(dice, history).await;
        }
        if steps > 0 && dice.throw(3) == 0 {
            let (late, old) = (number, figure);
            number = self.shop.begins().await;
            figure = self.figure();
            history.push(format!("reading {number} begins, {late} comes late"));
            assert!(!self.shop.pushes(Some(late), &[(&self.code, old)]).await, "{history:?}");
        }
        assert!(self.shop.pushes(Some(number), &[(&self.code, figure)]).await, "{history:?}");
        history.push(format!("pushed {figure}"));
        self.holds(history).await;
    }

    /// What the ERP shows of the level at this moment.
    fn figure(&self) -> i64 {
        let ordered: i64 = self.orders.iter().filter(|order| order.is_there).map(|order| order.pieces).sum();
        THERE - ordered
    }

    /// A reading with so many steps between its beginning and its page.
    async fn read(&mut self, steps: usize, dice: &mut Dice, history: &mut Vec<String>) {
        let system = &self.shop.hub.system;
        let gate = system.gate("levels", 0);
        let asked = system.pulls().len();
        history.push("reading begins".to_owned());
        let reading = self.shop.hub.run("levels", Pass::Incremental);
        let meanwhile = async {
            eventually("the page is asked for", || async { system.pulls().len() > asked }).await;
            for _ in 0..steps {
                self.step(dice, history).await;
            }
            system.changes("levels", [page([self.shown()])]);
            gate.add_permits(10);
        };
        let (run, ()) = tokio::join!(reading, meanwhile);
        assert_eq!((run.state.as_str(), run.failed), ("done", 0), "{run:?}");
        system.open_gates();
        history.push("reading ends".to_owned());
        self.holds(history).await;
    }
}

/// Who says when the stock is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Polled,
    Pushed,
}

#[tokio::test]
async fn nothing_is_sold_twice_however_orders_facts_and_readings_come() {
    histories(&Shop::without_link().await, Way::Polled).await;
}

#[tokio::test]
async fn nor_when_levels_are_pushed_as_parts_of_readings_of_the_source_s_own() {
    histories(&Shop::reading(&["orders"]).await, Way::Pushed).await;
}

async fn histories(shop: &Shop, way: Way) {
    shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
    for seed in 0..HISTORIES {
        let mut dice = Dice(seed);
        let mut world = World::begin(shop, seed).await;
        let mut history = vec![format!("seed {seed}")];
        for _ in 0..STEPS {
            if dice.throw(4) == 0 {
                let between = dice.throw(3);
                world.read_by(way, between, &mut dice, &mut history).await;
            } else {
                world.step(&mut dice, &mut history).await;
            }
        }
        // All arrives over there, we hear of it, and read once more.
        for at in 0..world.orders.len() {
            if !world.orders[at].is_known {
                world.learn(at).await;
            }
        }
        world.read_by(way, 0, &mut dice, &mut history).await;
        let sold: i64 = world.orders.iter().map(|order| order.pieces).sum();
        assert_eq!(world.may_be_sold().await, THERE - sold, "counted twice: {history:?}");
    }
}
