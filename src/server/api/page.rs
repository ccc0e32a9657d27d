//! Long lists a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::problem::Problem;

/// Rows on a page, unless the request says otherwise; and at the most.
const ROWS: u32 = 100;
const MOST: u32 = 1000;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// So many rows at the most; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// Where the page before ended: its `next`.
    #[param(max_length = 8192)]
    pub(super) cursor: Option<String>,
}

impl Page {
    /// How many rows are wanted.
    pub(super) fn rows(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(ROWS) {
            limit @ 1..=MOST => Ok(limit as usize),
            _ => Err(Problem::bad_field("limit", format!("it is between 1 and {MOST}"))),
        }
    }

    /// The place that the page before ended at.
    pub(super) fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|text| serde_json::from_slice(&text).ok());
        place.map(Some).ok_or_else(|| Problem::bad_field("cursor", "it is not one that an earlier page told"))
    }

    /// The page of a list whose rows are in the order of their keys, and the cursor of the next one. A row that has gone meanwhile does not
    /// matter, and no row is told twice.
    pub(super) fn of<T, K: Ord + Serialize + DeserializeOwned>(
        &self,
        rows: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> K,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let (most, after) = (self.rows()?, self.after::<K>()?);
        let mut rest = rows.into_iter().filter(|row| after.as_ref().is_none_or(|after| key(row) > *after));
        let rows: Vec<T> = rest.by_ref().take(most).collect();
        let next = rest.next().and(rows.last()).map(|last| next(&key(last)));
        Ok((rows, next))
    }
}

/// The cursor of a place.
pub(super) fn next<K: Serialize>(place: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;

    #[test]
    fn pages_follow_one_another() {
        let rows = |page: &Page, rows: &[u32]| page.of(rows.iter().copied(), |row| Reverse(*row)).unwrap();
        let first = Page { limit: Some(2), cursor: None };
        let (one, next) = rows(&first, &[9, 7, 5, 3]);
        assert_eq!(one, [9, 7]);
        // What was told last has gone, and something new has come in front.
        let second = Page { cursor: next, ..first };
        let (two, next) = rows(&second, &[10, 9, 5, 3]);
        assert_eq!((two, next), (vec![5, 3], None));
        assert!(Page { limit: Some(0), cursor: None }.rows().is_err() && Page { limit: Some(1001), cursor: None }.rows().is_err());
        for cursor in ["", "x", "bnVsbA", "eyJhIjoxfQ"] {
            assert!(Page { limit: None, cursor: Some(cursor.into()) }.after::<(i64, String)>().is_err(), "{cursor}");
        }
    }
}
