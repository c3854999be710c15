//! The file with the two tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::order::{Order, Outcome, Refused};

const CREATE: &str = "
    CREATE TABLE charges (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);";

/// What `FIND_SHAPE` finds then.
const SHAPE: &str = "charges.id, charges.cents, orders.id, orders.cents";

const FIND_SHAPE: &str = "
    SELECT coalesce(group_concat(place, ', '), '') FROM
        (SELECT tables.name || '.' || columns.name AS place
        FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' ORDER BY tables.name, columns.cid)";

/// How long to wait for another connection that writes.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);

/// Columns of a table of another shape that are named, in characters.
const NAMED: usize = 200;

/// A connection to the database.
#[derive(Debug)]
pub struct Database(Connection);

/// Why the database cannot be used. The text is one line, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or made.
    #[error(
        "cannot open or create {0:?}: name a file in a folder that exists and can be written to, with --database"
    )]
    CannotOpen(PathBuf),
    /// The file or its folder can only be read.
    #[error(
        "cannot write to {0:?}: make the file and its folder writable, or name another file with --database"
    )]
    ReadOnly(PathBuf),
    /// The file is something else.
    #[error("{0:?} is not an SQLite database: name another file with --database")]
    NotADatabase(PathBuf),
    /// The database belongs to another program, or to another version of this one.
    #[error(
        "{path:?} is a database of another shape, with {found} instead of {SHAPE}: name another file with --database"
    )]
    OtherShape {
        /// The file.
        path: PathBuf,
        /// Its columns.
        found: String,
    },
    /// Anything else.
    #[error("cannot use {path:?} ({error:?}): mend that, or name another file with --database")]
    Other {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

impl Database {
    /// Opens the database, or makes it if there is no such file, or an empty one. A database of another shape is left as it is.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let explain = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => OpenError::CannotOpen(path.into()),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly(path.into()),
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.into()),
            _ => OpenError::Other { path: path.into(), error },
        };
        let (mut database, found) = Self::connect(path).map_err(explain)?;
        match found.as_str() {
            SHAPE => {}
            "" => database.create().map_err(explain)?,
            _ => {
                let found = format!("{:?}", found.chars().take(NAMED).collect::<String>());
                return Err(OpenError::OtherShape { path: path.into(), found });
            }
        }
        // From here on two connections can write, one after another, and others can read meanwhile.
        database.0.pragma_update(None, "journal_mode", "WAL").map_err(explain)?;
        database.write("orders", &[]).map_err(explain)?;
        Ok(database)
    }

    /// A connection, and the columns that it finds.
    fn connect(path: &Path) -> rusqlite::Result<(Self, String)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        // With `.` before it, `:memory:` is a file like any other.
        let connection = Connection::open_with_flags(Path::new(".").join(path), flags)?;
        connection.busy_timeout(LOCKED_WITHIN)?;
        let found = connection.query_row(FIND_SHAPE, [], |row| row.get(0))?;
        Ok((Self(connection), found))
    }

    fn create(&mut self) -> rusqlite::Result<()> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(CREATE)?;
        transaction.commit()
    }

    /// Writes orders into a table, in one transaction. One that is there already stays as it is.
    pub(crate) fn write_all(&mut self, table: &str, orders: &[Order]) -> Vec<Outcome> {
        self.write(table, orders).unwrap_or_else(|error| {
            orders.iter().map(|_| Err(Refused::Unavailable(error.to_string()))).collect()
        })
    }

    fn write(&mut self, table: &str, orders: &[Order]) -> rusqlite::Result<Vec<Outcome>> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = {
            let insert =
                format!("INSERT INTO {table} (id, cents) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING");
            let mut insert = transaction.prepare(&insert)?;
            let find = format!("SELECT cents = ?2 FROM {table} WHERE id = ?1");
            let mut find = transaction.prepare(&find)?;
            let written = orders.iter().map(|order| {
                let row = (order.id, order.cents.get());
                insert.execute(row)?;
                let is_same = find.query_row(row, |row| row.get(0))?;
                Ok(if is_same { Ok(()) } else { Err(Refused::OtherPrice(order.id)) })
            });
            written.collect::<rusqlite::Result<_>>()?
        };
        transaction.commit()?;
        Ok(outcomes)
    }
}
