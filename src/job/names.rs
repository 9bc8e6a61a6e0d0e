//! The macro behind enums whose kinds have a name in SQL, in the API and in Rust alike.

/// Names each kind of an enum once: what it is called, how a name is read, and how it is
/// serialised.
macro_rules! names {
    ($type:ident { $($kind:ident = $name:literal),+ $(,)? }) => {
        #[allow(unreachable_pub, reason = "some of these enums are of the crate alone")]
        impl $type {
            /// Each of them, in order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$kind),+];
            /// Their names, as the API and SQL spell them.
            pub const NAMES: [&str; Self::ALL.len()] = [$($name),+];

            /// Its name, as the API and SQL spell it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }

            /// The one of this name.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use names;
