//! The macros behind the table, for what needs concrete types.

/// Declares from the table of fields: [`NewJob`](super::NewJob) with a field for each column, and
/// [`Settings`](super::Settings) with one for each rare field. Then their setters, how both are
/// read and checked, and [`FIELDS`](super::FIELDS).
///
/// A declaration is `/// sentence` and `name: type = kind`. Then come, if they apply and in this
/// order: `required true`, `default` and a literal, `together` and a rule, `set by` and the setter.
macro_rules! fields {
    (
        columns { $(
            $(#[doc = $about:literal])+
            $name:ident: $type:ty = $kind:expr $(, required $required:literal)? $(, default $default:expr)?
                $(, together $together:expr)?
                $(, set by $setter:ident($given:ident: $given_type:ty) = $value:expr)?;
        )* }
        settings { $(
            $(#[doc = $set_about:literal])+
            $set_name:ident: $set_type:ty = $set_kind:expr $(, default $set_default:expr)?
                $(, together $set_together:expr)?
                $(, set by $set_setter:ident($set_given:ident: $set_given_type:ty) = $set_value:expr)?;
        )* }
    ) => {
        /// A job as somebody asks for it. Nothing is checked yet. Everything but the payload is
        /// optional.
        ///
        /// ```
        /// # use reveille::{NewJob, OnConflict};
        /// # use std::time::Duration;
        /// # #[derive(serde::Serialize)] struct Resize { width: u32 }
        /// let job = NewJob::new("resize", &Resize { width: 640 })
        ///     .queue("images")
        ///     .delay(Duration::from_secs(5))
        ///     .unique("resize/42", OnConflict::Replace);
        /// ```
        #[derive(Clone, Debug, Default)]
        pub struct NewJob {
            $( $(#[doc = $about])+ pub $name: Option<$type>, )*
            /// The rare fields.
            pub settings: Settings,
        }

        /// The rare fields of a job, as it keeps them: one object, from which absent fields are
        /// left out.
        #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Settings {
            $( $(#[doc = $set_about])+
            #[serde(skip_serializing_if = "Option::is_none", serialize_with = "value::write")]
            pub $set_name: Option<$set_type>, )*
        }

        /// All fields, in the order in which they are told.
        pub(crate) const FIELDS: &[Field] = &[
            $( fields!(@field false, [$($about)+], $name, $kind, [$($required)?], [$($default)?], [$($together)?]), )*
            $( fields!(@field true, [$($set_about)+], $set_name, $set_kind, [], [$($set_default)?], [$($set_together)?]), )*
        ];

        /// The names of [`FIELDS`].
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name),)* $(stringify!($set_name),)*];

        impl NewJob {
            $( fields! { @setter [$($about)+] [$name] $($setter($given: $given_type) = $value)? } )*
            $( fields! {
                @setter [$($set_about)+] [settings.$set_name]
                $($set_setter($set_given: $set_given_type) = $set_value)?
            } )*

            /// Reads all fields.
            pub(crate) fn read(source: &mut impl Source) -> Self {
                Self {
                    $( $name: Value::read(source, stringify!($name), &$kind), )*
                    settings: Settings {
                        $( $set_name: Value::read(source, stringify!($set_name), &$set_kind), )*
                    },
                }
            }

            /// Notes what is wrong with each field by itself.
            pub(in crate::job) fn check_each(&self, faults: &mut Faults) {
                $( if let Some(value) = &self.$name {
                    value.check(stringify!($name), &$kind, faults);
                } )*
                $( if let Some(value) = &self.settings.$set_name {
                    value.check(stringify!($set_name), &$set_kind, faults);
                } )*
            }

        }

        impl Given for NewJob {
            fn gives(&self, name: &str) -> bool {
                match name {
                    $( stringify!($name) => self.$name.is_some(), )*
                    $( stringify!($set_name) => self.settings.$set_name.is_some(), )*
                    _ => false,
                }
            }

            fn says(&self, name: &str, word: &str) -> bool {
                match name {
                    $( stringify!($name) => self.$name.as_ref().is_some_and(|it| it.is(word)), )*
                    $( stringify!($set_name) => {
                        self.settings.$set_name.as_ref().is_some_and(|it| it.is(word))
                    } )*
                    _ => false,
                }
            }
        }
    };
    (@field $is_setting:literal, [$($about:literal)+], $name:ident, $kind:expr, [$($required:literal)?], [$($default:expr)?], [$($together:expr)?]) => {
        Field {
            name: stringify!($name),
            kind: $kind,
            required: fields!(@is $($required)?),
            default: fields!(@option $($default)?),
            together: fields!(@option $($together)?),
            is_setting: $is_setting,
            about: concat!($($about),+).trim_ascii_start(),
        }
    };
    (
        @setter [$($about:literal)+] [$($place:ident).+]
        $setter:ident($given:ident: $type:ty) = $value:expr
    ) => {
        $(#[doc = $about])+
        pub fn $setter(mut self, $given: $type) -> Self {
            self.$($place).+ = Some($value);
            self
        }
    };
    (@setter [$($about:literal)+] [$($place:ident).+]) => {};
    (@is $value:literal) => { $value };
    (@is) => { false };
    (@option $value:expr) => { Some($value) };
    (@option) => { None };
}

/// Declares an object: its struct, the list of its members, and how they are read and checked, each
/// by itself.
macro_rules! object {
    (
        $(#[doc = $about:literal])+
        pub struct $type:ident, $all:ident, $names:ident {
            $( $(#[doc = $member_about:literal])+ $name:ident: $member:ty = $kind:expr; )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $type {
            $( $(#[doc = $member_about])+
            #[serde(skip_serializing_if = "Option::is_none", serialize_with = "value::write")]
            pub $name: Option<$member>, )*
        }

        /// The members, in the order in which they are told.
        pub(crate) const $all: &[Field] = &[
            $( fields!(@field true, [$($member_about)+], $name, $kind, [], [], []), )*
        ];

        /// The names of the members.
        pub(crate) const $names: &[&str] = &[$(stringify!($name)),*];

        impl $type {
            /// Reads all members.
            pub(crate) fn read_members(source: &mut impl Source) -> Self {
                Self { $( $name: Value::read(source, stringify!($name), &$kind), )* }
            }

            /// Notes what is wrong with each member by itself. `at` stands before its name: the
            /// pointer of the object without its first `/`.
            pub(crate) fn check_members(&self, at: &str, faults: &mut Faults) {
                $( if let Some(value) = &self.$name {
                    value.check(&format!("{at}{}", stringify!($name)), &$kind, faults);
                } )*
            }
        }
    };
}

/// Declares a field that is an object. Its rules for members beside others are a method
/// `check_together` of the struct.
macro_rules! members {
    (
        $(#[doc = $about:literal])+
        pub struct $type:ident, $all:ident, $names:ident { $($members:tt)* }
    ) => {
        object! {
            $(#[doc = $about])+
            pub struct $type, $all, $names { $($members)* }
        }

        impl Value for $type {
            fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
                source.object(name, $names, Self::read_members)
            }

            fn check(&self, name: &str, _: &Kind, faults: &mut Faults) {
                self.check_members(&format!("{name}/"), faults);
                self.check_together(name, faults);
            }
        }
    };
}

/// Declares an object whose members are changed one by one, by their names.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $type:ident, $all:ident, $names:ident {
            $( $(#[doc = $member_about:literal])+ $name:ident: $member:ty = $kind:expr; )*
        }
    ) => {
        object! {
            $(#[doc = $about])+
            pub struct $type, $all, $names {
                $( $(#[doc = $member_about])+ $name: $member = $kind; )*
            }
        }

        impl $type {
            /// The names of the members that are given.
            pub(crate) fn given(&self) -> Vec<&'static str> {
                let given = [$( (stringify!($name), self.$name.is_some()), )*];
                given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
            }

            /// Takes the members that are given there.
            pub(crate) fn merge(&mut self, other: Self) {
                $( if other.$name.is_some() {
                    self.$name = other.$name;
                } )*
            }

            /// Forgets the member of this name.
            pub(crate) fn reset(&mut self, name: &str) {
                match name {
                    $( stringify!($name) => self.$name = None, )*
                    _ => {}
                }
            }
        }
    };
}

pub(super) use {fields, members, object, settings};
