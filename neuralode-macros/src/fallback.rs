//! Items that stand in for a model after an error, so that one mistake gives one message and editors still
//! know the model and its stages.
//!
//! A type that the compiler could not work out may be used in any way: it has reported why, and says no more
//! of it. The first message is emitted such that it makes a type of this kind; the stub's fields and outputs
//! have it, and the stub dereferences to it, for names that are not known.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{ext::IdentExt, Attribute, Ident, Visibility};

use crate::{
    ast::{Definition, Expr},
    codegen::root,
    diag::Diagnostics,
    generics::Generics,
    model::{field_name, stateful::STATEFUL},
};

/// What the rest of the user's crate may name of a model.
pub(crate) struct Stub {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    generics: Generics,
    stages: Vec<Ident>,
    /// Of a struct that the user wrote, the structs that its blocks' fields would have.
    fields: Option<Vec<Ident>>,
    /// Whether a layer with state is named somewhere, so that the model's state has a type.
    has_state: bool,
}

impl Stub {
    pub(crate) fn of(definition: &Definition) -> Self {
        let mut stages: Vec<Ident> = Vec::new();
        for name in definition
            .entries
            .iter()
            .filter_map(|entry| entry.name.as_ref())
        {
            if name != "input" && !stages.contains(name) {
                stages.push(name.clone());
            }
        }
        let attributes = definition.attributes.iter();
        Self {
            attributes: attributes
                .filter(|attribute| !attribute.path().is_ident("cfg"))
                .cloned()
                .collect(),
            visibility: definition.visibility.clone(),
            name: definition.name.clone(),
            generics: definition.generics.clone(),
            stages,
            fields: definition.derived.is_some().then(|| {
                let blocks = definition.entries.iter();
                let blocks = blocks.filter(|entry| matches!(entry.value, Expr::Block(..)));
                let names = blocks.filter_map(|entry| entry.name.as_ref());
                let names = names.map(|name| field_name(&definition.name, name));
                names
                    .map(|name| Ident::new(&name, Span::call_site()))
                    .collect()
            }),
            has_state: definition
                .entries
                .iter()
                .any(|entry| has_state(&entry.value)),
        }
    }

    /// What stands for the struct of the model's state.
    fn state(&self, unknown: &Ident) -> TokenStream {
        let root = root();
        let (visibility, name) = (
            &self.visibility,
            format_ident!("{}State", self.name.unraw()),
        );
        let generics = self.generics.constants();
        let (declared, introduced, named) =
            (generics.declared(), generics.introduced(), generics.named());
        quote! {
            #[allow(missing_docs, dead_code)]
            #[derive(#root::Clone, #root::Debug)]
            #visibility struct #name<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu> {
                #[doc(hidden)]
                __marker: #root::PhantomData<(Elem, Dev)>,
            }

            #[allow(dead_code, clippy::all, clippy::pedantic)]
            const _: () = {
                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> ::core::ops::Deref for #name<#named Elem, Dev> {
                    type Target = #unknown;

                    fn deref(&self) -> &#unknown {
                        loop {}
                    }
                }
            };
        }
    }

    /// The stub, with `unknown` as the type of what the declaration leaves open.
    fn items(&self, unknown: &Ident) -> TokenStream {
        let Self {
            attributes,
            visibility,
            name,
            generics,
            stages,
            fields,
            has_state,
        } = self;
        let root = root();
        let (declared, introduced, named) =
            (generics.declared(), generics.introduced(), generics.named());
        let state = has_state.then(|| self.state(unknown));
        let clause = generics.clause();
        let structs = match fields {
            None => quote! {
                #(#attributes)*
                #[allow(missing_docs, dead_code)]
                #visibility struct #name<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu> {
                    #(#visibility #stages: #unknown,)*
                    #[doc(hidden)]
                    __marker: #root::PhantomData<(Elem, Dev)>,
                }
            },
            Some(fields) => {
                let declared = generics.constants().declared();
                quote! {#(
                    #[allow(missing_docs, dead_code)]
                    #[derive(#root::Clone, #root::Debug)]
                    #visibility struct #fields<#declared Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu>(
                        #root::PhantomData<(Elem, Dev)>,
                    );
                )*}
            }
        };
        quote! {
            #state

            #structs

            #[allow(dead_code, clippy::all, clippy::pedantic)]
            const _: () = {
                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #name<#named Elem, Dev> #clause {
                    /// Builds nothing: the declaration has errors.
                    pub fn build(_: &Dev) -> Self {
                        loop {}
                    }

                    /// Builds nothing: the declaration has errors.
                    pub fn try_build(_: &Dev) -> #root::Result<Self, #root::DeviceErr<Dev>> {
                        loop {}
                    }
                }

                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> ::core::ops::Deref for #name<#named Elem, Dev> #clause {
                    type Target = #unknown;

                    fn deref(&self) -> &#unknown {
                        loop {}
                    }
                }

                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorCollection<Elem, Dev>
                    for #name<#named Elem, Dev>
                #clause
                {
                    type To<E2: #root::Dtype, D2: #root::Device<E2>> = #name<#named E2, D2>;

                    fn iter_tensors<V: #root::ModuleVisitor<Self, Elem, Dev>>(
                        _: &mut V,
                    ) -> #root::Result<#root::Option<Self::To<V::E2, V::D2>>, V::Err> {
                        loop {}
                    }
                }

                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>, E2: #root::Dtype, D2: #root::Device<E2>>
                    #root::BuildOnDevice<D2, E2> for #name<#named Elem, Dev>
                #clause
                {
                    type Built = #name<#named E2, D2>;
                }

                #[automatically_derived]
                impl<#introduced Input, Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::Module<Input>
                    for #name<#named Elem, Dev>
                #clause
                {
                    type Output = #unknown;
                    type Error = #root::SolveError;

                    fn try_forward(&self, _: Input) -> #root::Result<#unknown, #root::SolveError> {
                        loop {}
                    }
                }

                #[automatically_derived]
                impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::NonMutableModule
                    for #name<#named Elem, Dev>
                #clause
                {
                }
            };
        }
    }
}

/// Whether a layer with state is among what was written.
fn has_state(value: &Expr) -> bool {
    let is_stateful = |name: &Ident| STATEFUL.iter().any(|word| name == word);
    value.head().is_some_and(is_stateful)
        || match value {
            Expr::List(_, values) | Expr::Nested(_, _, values) => values.iter().any(has_state),
            Expr::Block(_, entries) => entries.iter().any(|entry| has_state(&entry.value)),
            _ => false,
        }
}

/// The messages, and stubs of the models that have names.
pub(crate) fn generate(stubs: &[Stub], diagnostics: Diagnostics) -> TokenStream {
    let errors = diagnostics.into_compile_errors();
    let (Some(stub), Some((first, others))) = (stubs.first(), errors.split_first()) else {
        return errors.into_iter().collect();
    };
    let unknown = format_ident!("__{}HasErrors", stub.name.unraw());
    let stubs = stubs.iter().map(|stub| stub.items(&unknown));
    quote! {
        #[allow(dead_code)]
        type #unknown = <[(); #first] as ::core::iter::IntoIterator>::Item;
        #(#others)*
        #(#stubs)*
    }
}
