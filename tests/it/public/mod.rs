//! What is public is meant to be: it is listed in `api.txt`, where a change of it is seen.
//!
//! The listing is read from the source by `syn`: rustdoc's JSON needs a nightly switch, and a build of
//! its own, which takes longer than all other tests of the structure. It follows the exports of
//! `lib.rs` to the items they name, and keeps of those what others can use. An item that a macro makes
//! is listed by what the macro is given.

mod source;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, parse_quote};

use source::{Crate, Export, is_hidden, is_public};

#[test]
fn the_public_api_is_the_one_that_is_listed() {
    let crate_ = Crate::read();
    let (mut listing, mut macros) = (String::new(), Vec::new());
    for export in crate_.exports() {
        let items = match export {
            Export::Foreign(item) => vec![*item],
            Export::Own { name, at } => {
                crate_.items(&at, &name).into_iter().map(|(_, item)| item).collect()
            }
        };
        let mut items: Vec<Item> = items.into_iter().map(public_part).collect();
        // A macro that makes several items is listed with the first of them.
        items.retain(|item| {
            let Item::Macro(it) = item else { return true };
            let given = it.mac.tokens.to_string();
            let new = !macros.contains(&given);
            macros.push(given);
            new
        });
        let file = syn::File { shebang: None, attrs: Vec::new(), items };
        writeln!(listing, "{}", prettyplease::unparse(&file)).expect("a string takes all");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/public/api.txt");
    if std::env::var_os("WRITE_API").is_some() {
        fs::write(&path, &listing).expect("the listing can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(listing.len() > 10_000, "the scan sees nothing");
    for (line, (committed, found)) in committed.lines().zip(listing.lines()).enumerate() {
        assert_eq!(
            committed,
            found,
            "line {} of {}: if the change is meant, run `make public` and commit the listing",
            line + 1,
            path.display()
        );
    }
    assert_eq!(committed.len(), listing.len(), "run `make public` and commit the listing");
}

#[test]
fn every_type_of_a_public_signature_has_a_public_name() {
    let crate_ = Crate::read();
    let mut seen = 0;
    for export in crate_.exports() {
        let Export::Own { name, at } = export else { continue };
        for (module, item) in crate_.items(&at, &name) {
            let mut named = Named::default();
            named.visit_item(&public_part(item));
            seen += named.0.len();
            let hidden = named
                .0
                .iter()
                .filter(|it| crate_.is_own(&module, &it.to_string()) && !crate_.is_exported(it));
            let hidden: Vec<_> = hidden.collect();
            assert!(hidden.is_empty(), "{name} names what no caller can name: {hidden:?}");
        }
    }
    assert!(seen > 500, "the scan sees nothing");
}

/// What an item names.
#[derive(Default)]
struct Named(Vec<Ident>);

impl<'ast> Visit<'ast> for Named {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.last().map(|last| last.ident.clone()));
        visit::visit_path(self, path);
    }
}

/// The item without what others cannot use: bodies, documentation, private fields and methods.
fn public_part(mut item: Item) -> Item {
    match &mut item {
        Item::Struct(it) => {
            bare(&mut it.attrs);
            match &mut it.fields {
                Fields::Named(fields) => {
                    fields.named =
                        fields.named.iter().filter(|it| is_public(&it.vis)).cloned().collect();
                    fields.named.iter_mut().for_each(|field| bare(&mut field.attrs));
                }
                Fields::Unnamed(fields) if !fields.unnamed.iter().all(|it| is_public(&it.vis)) => {
                    it.fields = Fields::Unit;
                    it.semi_token = Some(parse_quote!(;));
                }
                _ => {}
            }
        }
        Item::Enum(it) => {
            bare(&mut it.attrs);
            for variant in &mut it.variants {
                bare(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| bare(&mut field.attrs));
            }
        }
        Item::Fn(it) => {
            bare(&mut it.attrs);
            it.block = parse_quote!({});
        }
        Item::Const(it) => bare(&mut it.attrs),
        Item::Type(it) => bare(&mut it.attrs),
        Item::Use(it) => bare(&mut it.attrs),
        Item::Trait(it) => {
            bare(&mut it.attrs);
            for item in &mut it.items {
                match item {
                    TraitItem::Fn(it) => {
                        bare(&mut it.attrs);
                        it.default = it.default.is_some().then(|| parse_quote!({}));
                    }
                    TraitItem::Const(it) => bare(&mut it.attrs),
                    TraitItem::Type(it) => bare(&mut it.attrs),
                    _ => {}
                }
            }
        }
        Item::Impl(it) => public_impl(it),
        Item::Macro(it) => it.mac.tokens = without_docs(it.mac.tokens.clone()),
        _ => {}
    }
    item
}

/// What a macro is given, without the documentation.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_doc(&group) => {
                // The `#` before it.
                kept.pop();
            }
            TokenTree::Group(group) => {
                let inner = without_docs(group.stream());
                kept.push(Group::new(group.delimiter(), inner).into());
            }
            token => kept.push(token),
        }
    }
    kept.into_iter().collect()
}

fn is_doc(group: &Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && first.is_some_and(|it| it.to_string() == "doc")
}

fn public_impl(it: &mut ItemImpl) {
    bare(&mut it.attrs);
    let of_trait = it.trait_.is_some();
    if of_trait {
        // Its methods are those of the trait.
        it.items.retain(|item| matches!(item, ImplItem::Type(_) | ImplItem::Const(_)));
    }
    it.items.retain(|item| match item {
        ImplItem::Fn(it) => is_public(&it.vis) && !is_hidden(&it.attrs),
        ImplItem::Const(it) => of_trait || is_public(&it.vis),
        ImplItem::Type(_) => true,
        _ => false,
    });
    for item in &mut it.items {
        match item {
            ImplItem::Fn(it) => {
                bare(&mut it.attrs);
                it.block = parse_quote!({});
            }
            ImplItem::Const(it) => bare(&mut it.attrs),
            ImplItem::Type(it) => bare(&mut it.attrs),
            _ => {}
        }
    }
}

/// Keeps what changes how a thing is used.
fn bare(attributes: &mut Vec<Attribute>) {
    let kept = ["derive", "must_use", "non_exhaustive", "cfg", "deprecated"];
    attributes.retain(|it| kept.iter().any(|name| it.path().is_ident(name)));
}

#[test]
fn private_parts_are_left_out_of_the_listing() {
    let code: syn::File = parse_quote! {
        /// Said.
        #[derive(Clone)]
        pub struct Open { pub shown: u8, hidden: u8 }
        pub struct Closed(u8);
        impl Open {
            /// Said.
            pub fn shown(&self) -> u8 { 7 }
            pub(crate) fn hidden(&self) -> u8 { 7 }
        }
        impl Default for Open { fn default() -> Self { Self { shown: 7, hidden: 7 } } }
        made! { /// Said.
            shown "shown" { #[doc = "Said."] inner } }
    };
    let items = code.items.into_iter().map(public_part).collect();
    let listed = prettyplease::unparse(&syn::File { items, shebang: None, attrs: Vec::new() });
    let expected = r#"#[derive(Clone)]
pub struct Open {
    pub shown: u8,
}
pub struct Closed;
impl Open {
    pub fn shown(&self) -> u8 {}
}
impl Default for Open {}
made! {
    shown "shown" { inner }
}
"#;
    assert_eq!(listed, expected);
}
