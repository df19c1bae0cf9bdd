//! What goes into a statement and what comes out of a row.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use weir_api::environments::{AutoStopSetting, DeploymentStatus, EnvironmentState, EnvironmentTier};
use weir_api::status::{Accessibility, ArtifactFileType, ArtifactFormat};
use weir_api::{
    AccessLevel, FailureReason, FeatureAccess, JobStatus, MergeRequestState, MergeStatus, NamespaceKind,
    PipelineSource, ProcessMode, RunnerAccessLevel, RunnerType, Timestamp, UserState, VariableType,
    Visibility, id,
};

use crate::error::{Error, Result};

/// A value as both engines know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// `BIGINT`.
    Integer(i64),
    /// `DOUBLE PRECISION`.
    Real(f64),
    /// `BOOLEAN`; SQLite gives it back as an integer.
    Boolean(bool),
    /// `TEXT`.
    Text(&'a str),
    /// `BYTEA` or `BLOB`.
    Blob(&'a [u8]),
}

/// What can be a parameter of a statement.
pub trait ToValue {
    /// The value to bind.
    fn to_value(&self) -> Value<'_>;
}

/// What can be read from a column.
pub trait FromValue<'a>: Sized {
    /// The value read, or what is wrong with it.
    fn from_value(value: Value<'a>) -> std::result::Result<Self, String>;
}

/// The parameters of a statement: `params![id, name]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::ToValue),*] as &[&dyn $crate::ToValue]
    };
}

impl Value<'_> {
    /// What it is, for messages: these must not hold what is stored.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a floating point number",
            Self::Boolean(_) => "a boolean",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

fn mismatch<T>(expected: &str, value: Value<'_>) -> std::result::Result<T, String> {
    Err(format!("expected {expected}, found {}", value.kind()))
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        *self
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: Value<'a>) -> std::result::Result<Self, String> {
        if value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl FromValue<'_> for $type {
            fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
                match value {
                    Value::Integer(number) => Self::try_from(number)
                        .map_err(|_| format!("{number} does not fit {}", stringify!($type))),
                    other => mismatch("an integer", other),
                }
            }
        }
    )*};
}

integers!(i64, i32, i16, u32, u16, u8);

macro_rules! ids {
    ($($type:ident),*) => {$(
        impl ToValue for id::$type {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(self.0)
            }
        }

        impl FromValue<'_> for id::$type {
            fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
                i64::from_value(value).map(Self)
            }
        }
    )*};
}

ids!(
    UserId,
    NamespaceId,
    GroupId,
    ProjectId,
    TokenId,
    PipelineId,
    JobId,
    StageId,
    RunnerId,
    RunnerManagerId,
    ArtifactId,
    VariableId,
    TagSetId,
    PushId,
    TriggerId,
    PipelineScheduleId,
    MergeRequestId,
    EnvironmentId,
    DeploymentId,
    ResourceGroupId,
    HookId,
    TaskId
);

macro_rules! vocabularies {
    ($($type:ty),*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> {
                Value::Text(self.as_str())
            }
        }

        impl FromValue<'_> for $type {
            fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
                <&str>::from_value(value)?.parse::<Self>().map_err(|error| error.to_string())
            }
        }
    )*};
}

vocabularies!(
    Accessibility,
    ArtifactFileType,
    ArtifactFormat,
    AutoStopSetting,
    DeploymentStatus,
    EnvironmentState,
    EnvironmentTier,
    FailureReason,
    FeatureAccess,
    JobStatus,
    MergeRequestState,
    MergeStatus,
    NamespaceKind,
    PipelineSource,
    ProcessMode,
    RunnerAccessLevel,
    RunnerType,
    UserState,
    VariableType,
    Visibility
);

impl ToValue for AccessLevel {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(self.number())
    }
}

impl FromValue<'_> for AccessLevel {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        let number = i64::from_value(value)?;
        Self::from_number(number).ok_or_else(|| format!("{number} is no access level"))
    }
}

impl ToValue for Timestamp {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(self.as_micros())
    }
}

impl FromValue<'_> for Timestamp {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        i64::from_value(value).map(Self::from_micros)
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl FromValue<'_> for f64 {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        match value {
            Value::Real(number) => Ok(number),
            other => mismatch("a floating point number", other),
        }
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Boolean(*self)
    }
}

impl FromValue<'_> for bool {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        match value {
            Value::Boolean(truth) => Ok(truth),
            Value::Integer(0) => Ok(false),
            Value::Integer(1) => Ok(true),
            other => mismatch("a boolean", other),
        }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: Value<'a>) -> std::result::Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text),
            other => mismatch("a text", other),
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for bytes::Bytes {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: Value<'a>) -> std::result::Result<Self, String> {
        match value {
            Value::Blob(bytes) => Ok(bytes),
            other => mismatch("bytes", other),
        }
    }
}

impl<const N: usize> FromValue<'_> for [u8; N] {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        let bytes = <&[u8]>::from_value(value)?;
        bytes.try_into().map_err(|_| format!("expected {N} bytes, found {}", bytes.len()))
    }
}

impl FromValue<'_> for Vec<u8> {
    fn from_value(value: Value<'_>) -> std::result::Result<Self, String> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<'a> From<rusqlite::types::ValueRef<'a>> for Value<'a> {
    fn from(value: rusqlite::types::ValueRef<'a>) -> Self {
        use rusqlite::types::ValueRef;
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            // What is no UTF-8 was not written by this crate; it surfaces as bytes where a text is expected.
            ValueRef::Text(text) => std::str::from_utf8(text).map_or(Self::Blob(text), Self::Text),
            ValueRef::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Boolean(truth) => ValueRef::Integer(i64::from(truth)),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (*self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Integer(number), &Type::INT4) => i32::try_from(number)?.to_sql(ty, out),
            (Self::Real(number), &Type::FLOAT8) => number.to_sql(ty, out),
            (Self::Boolean(truth), &Type::BOOL) => truth.to_sql(ty, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR) => text.to_sql(ty, out),
            (Self::Blob(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (value, ty) => {
                Err(format!("{} is bound where PostgreSQL expects {ty}; CAST it", value.kind()).into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(ty, raw)?),
            Type::BOOL => Self::Boolean(bool::from_sql(ty, raw)?),
            Type::BYTEA => Self::Blob(raw),
            Type::VOID => Self::Null,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                Self::Text(std::str::from_utf8(raw)?)
            }
            ref other => return Err(format!("type {other} is not in use here; CAST it in the query").into()),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// One row of a result.
#[derive(Debug)]
pub struct Row(Cells);

#[derive(Debug)]
enum Cells {
    /// All texts and blobs of the row lie in one buffer: two allocations for a row of any width.
    Sqlite {
        cells: Vec<Cell>,
        bytes: Vec<u8>,
    },
    Postgres(tokio_postgres::Row),
}

#[derive(Debug)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(std::ops::Range<usize>),
    Blob(std::ops::Range<usize>),
}

impl Row {
    pub(super) fn sqlite(row: &rusqlite::Row<'_>, width: usize) -> rusqlite::Result<Self> {
        let mut cells = Vec::with_capacity(width);
        let mut bytes = Vec::new();
        for index in 0..width {
            let mut keep = |data: &[u8]| {
                let start = bytes.len();
                bytes.extend_from_slice(data);
                start..bytes.len()
            };
            cells.push(match Value::from(row.get_ref(index)?) {
                Value::Null => Cell::Null,
                Value::Integer(number) => Cell::Integer(number),
                Value::Boolean(truth) => Cell::Integer(truth.into()),
                Value::Real(number) => Cell::Real(number),
                Value::Text(text) => Cell::Text(keep(text.as_bytes())),
                Value::Blob(data) => Cell::Blob(keep(data)),
            });
        }
        Ok(Self(Cells::Sqlite { cells, bytes }))
    }

    pub(super) fn postgres(row: tokio_postgres::Row) -> Self {
        Self(Cells::Postgres(row))
    }

    /// The column at `index`, from 0. Reads `&str` and `&[u8]` without a copy.
    pub fn get<'a, T: FromValue<'a>>(&'a self, index: usize) -> Result<T> {
        self.value(index).and_then(T::from_value).map_err(|problem| Error::Column { index, problem })
    }

    /// The JSON text at `index`, parsed.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self, index: usize) -> Result<T> {
        Ok(serde_json::from_str(self.get::<&str>(index)?)?)
    }

    fn value(&self, index: usize) -> std::result::Result<Value<'_>, String> {
        match &self.0 {
            Cells::Postgres(row) => row.try_get(index).map_err(|error| crate::error::sources(&error)),
            Cells::Sqlite { cells, bytes } => match cells.get(index) {
                None => Err(format!("the row has only {} columns", cells.len())),
                Some(Cell::Null) => Ok(Value::Null),
                Some(Cell::Integer(number)) => Ok(Value::Integer(*number)),
                Some(Cell::Real(number)) => Ok(Value::Real(*number)),
                Some(Cell::Blob(range)) => Ok(Value::Blob(&bytes[range.clone()])),
                Some(Cell::Text(range)) => std::str::from_utf8(&bytes[range.clone()])
                    .map(Value::Text)
                    .map_err(|error| error.to_string()),
            },
        }
    }
}

/// `count` placeholders from `$first` on, for `IN (…)` and `VALUES (…)`: `placeholders(2, 3)` is `$2, $3, $4`.
pub fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
