//! As what a file is sent to a service: as it is, or as a JPEG of a certain size.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The squares that a JPEG may be made to fit into: their sides, in pixels.
const SQUARES: [u32; 8] = [720, 1280, 1920, 2048, 2560, 3840, 4096, 7680];

/// How large a picture is sent: `original`, byte for byte, or a JPEG that fits into a square. The names are PhotoPrism's: `fit_720`, `fit_1280`,
/// `fit_1920`, `fit_2048`, `fit_2560`, `fit_3840`, `fit_4096`, `fit_7680`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size(Option<u32>);

impl Size {
    /// The file as it is.
    pub const ORIGINAL: Self = Self(None);

    /// All of them, the original first, then the smallest.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::ORIGINAL).chain(SQUARES.map(|side| Self(Some(side))))
    }

    /// The side of the square, in pixels; none of the original.
    pub fn pixels(self) -> Option<u32> {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("original"),
            Some(pixels) => write!(f, "fit_{pixels}"),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::all().map(|size| size.to_string()).collect::<Vec<_>>().join(", ");
        Self::all().find(|size| size.to_string() == text).ok_or_else(|| format!("a size is one of {}", names()))
    }
}

impl PartialSchema for Size {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::all().map(|size| size.to_string()))).into()
    }
}

impl ToSchema for Size {}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What becomes of a file of which no JPEG of the wanted size can be made: RAW, a picture without a decoder here, a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unfit {
    /// It is sent as it is.
    #[default]
    Original,
    /// The JPEG that the camera put into it is sent, fitted as the others are; what has none is left out.
    Jpeg,
    /// It is left out.
    Skip,
}

impl Unfit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Original, Self::Jpeg, Self::Skip];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Jpeg => "jpeg",
            Self::Skip => "skip",
        }
    }
}

impl FromStr for Unfit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|unfit| unfit.name() == text).ok_or_else(|| "it is one of original, jpeg, skip".to_owned())
    }
}

/// What becomes of the place where a picture was taken, in the JPEGs that are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gps {
    /// It stays.
    #[default]
    Keep,
    /// It is not in them.
    Remove,
}

impl Gps {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }
}

impl FromStr for Gps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Keep, Self::Remove].into_iter().find(|gps| gps.name() == text).ok_or_else(|| "it is keep or remove".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_json_and_on_the_command_line() {
        for size in Size::all() {
            assert_eq!(serde_json::to_value(size).unwrap(), size.to_string());
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for unfit in Unfit::ALL {
            assert_eq!(serde_json::to_value(unfit).unwrap(), unfit.name());
        }
        assert!("fit_721".parse::<Size>().unwrap_err().contains("fit_720, fit_1280"));
    }
}
