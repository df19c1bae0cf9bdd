//! Conditions of a list, put together as they are asked for, so that an index serves each combination.

use crate::{ToValue, Value};

/// `WHERE` with its parameters.
#[derive(Default)]
pub(crate) struct Conditions<'v> {
    sql: String,
    values: Vec<Value<'v>>,
}

impl<'v> Conditions<'v> {
    /// Adds a condition without a parameter.
    pub(crate) fn is(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }

    /// Adds a condition; `$?` in it becomes the number of the parameter.
    pub(crate) fn with(&mut self, condition: &str, value: &'v dyn ToValue) {
        self.values.push(value.to_value());
        self.is(&condition.replace("$?", &format!("${}", self.values.len())));
    }

    /// Adds a condition if there is a value.
    pub(crate) fn maybe<T: ToValue>(&mut self, condition: &str, value: Option<&'v T>) {
        if let Some(value) = value {
            self.with(condition, value);
        }
    }

    /// Adds `column IN (…)`; nothing if the list is empty.
    pub(crate) fn any<T: ToValue>(&mut self, column: &str, list: &'v [T]) {
        if !list.is_empty() {
            let names = crate::placeholders(self.values.len() + 1, list.len());
            self.values.extend(list.iter().map(ToValue::to_value));
            self.is(&format!("{column} IN ({names})"));
        }
    }

    /// Adds a parameter that stands outside of the conditions; its placeholder.
    pub(crate) fn param(&mut self, value: &'v dyn ToValue) -> String {
        self.values.push(value.to_value());
        format!("${}", self.values.len())
    }

    /// ` WHERE …`, or nothing.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    /// The parameters.
    pub(crate) fn params(&self) -> Vec<&dyn ToValue> {
        self.values.iter().map(|value| value as &dyn ToValue).collect()
    }
}
