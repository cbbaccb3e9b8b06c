//! Items that stand in for a model after an error, so that one mistake gives one message and editors still
//! know the model's name.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Visibility};

use crate::{ast::Definition, codegen::root, diag::Diagnostics};

/// The name under which the rest of the user's crate knows the model.
pub(crate) struct Stub {
    visibility: Visibility,
    name: Ident,
}

impl Stub {
    pub(crate) fn of(definition: &Definition) -> Self {
        Self {
            visibility: definition.visibility.clone(),
            name: definition.name.clone(),
        }
    }

    pub(crate) fn with_errors(self, diagnostics: Diagnostics) -> TokenStream {
        let Self { visibility, name } = self;
        let root = root();
        let errors = diagnostics.into_compile_errors();
        quote! {
            #errors

            /// A model whose declaration has errors.
            #[derive(Clone, Debug)]
            #[allow(dead_code)]
            #visibility struct #name<Elem: #root::Dtype = f32, Dev: #root::Device<Elem> = #root::Cpu>(
                #root::PhantomData<(Elem, Dev)>,
            );

            #[allow(dead_code, clippy::all)]
            const _: () = {
                #[automatically_derived]
                impl<Elem: #root::Dtype, Dev: #root::Device<Elem>> #name<Elem, Dev> {
                    /// Builds nothing: the declaration has errors.
                    pub fn build(_: &Dev) -> Self {
                        Self(#root::PhantomData)
                    }
                }

                #[automatically_derived]
                impl<Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorCollection<Elem, Dev>
                    for #name<Elem, Dev>
                {
                    type To<E2: #root::Dtype, D2: #root::Device<E2>> = #name<E2, D2>;

                    fn iter_tensors<V: #root::ModuleVisitor<Self, Elem, Dev>>(
                        visitor: &mut V,
                    ) -> #root::Result<#root::Option<Self::To<V::E2, V::D2>>, V::Err> {
                        visitor.visit_fields((), |()| #name(#root::PhantomData))
                    }
                }
            };
        }
    }
}
