//! The database, seen from outside of the process.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

/// Both tables: the prices by id.
#[derive(Debug, PartialEq)]
pub(crate) struct Tables {
    pub(crate) charges: BTreeMap<i64, u32>,
    pub(crate) orders: BTreeMap<i64, u32>,
}

/// Reads both tables.
pub(crate) fn read(database: &Path) -> Tables {
    let connection = Connection::open(database).unwrap();
    let table = |name: &str| {
        let mut select = connection.prepare(&format!("SELECT id, cents FROM {name}")).unwrap();
        let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    // The orders first: then a charge without its row is no matter of the moment between.
    let (orders, charges) = (table("orders"), table("charges"));
    Tables { charges, orders }
}

/// Waits until something is charged, by looking again and again.
pub(crate) fn wait_for_a_charge(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let mut count = connection.prepare("SELECT count(*) FROM charges").unwrap();
    while count.query_row((), |row| row.get::<_, u32>(0)).unwrap() == 0 {
        std::thread::yield_now();
    }
}
