//! The vector field of a block: its operations of dfdx, and its kernels.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::model::{
    spatial::any_in,
    stateful::{has_kernels, HasState},
    Chain, Ode, Shape, Sizes, StageKind, Steps,
};

use super::{
    kernel, layer, root,
    sizes::{meet, tensor},
    state,
    storage::{shown, Storage},
};

/// The vector field of a stage, if it has one.
pub(super) fn generate(storage: &Storage<'_>) -> Option<TokenStream> {
    match &storage.stage.kind {
        StageKind::Ode(ode) if HasState::of_chain(&ode.field) > HasState::No => {
            Some(stateful(storage, ode))
        }
        StageKind::Ode(ode) => Some(stateless(storage, ode)),
        StageKind::Layers(_) => None,
    }
}

fn stateless(storage: &Storage<'_>, ode: &Ode) -> TokenStream {
    let root = root();
    let field = &storage.layers_struct;
    let state = &ode.features();
    let (calls, tensor) = field_calls(storage, ode);
    let Kernels { items, members } = Kernels::of(storage, ode);
    let generics = &storage.generics;
    let (introduced, named) = (generics.introduced(), generics.named());
    quote! {
        #items

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorField<#state, Elem, Dev>
            for #field<#named Elem, Dev>
        {
            #members

            fn try_eval<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                &self,
                t: f64,
                x: #tensor,
            ) -> #root::Result<#tensor, #root::SolveError> {
                let (batch, ..) = *#root::HasShape::shape(&x);
                #calls
                #root::Ok(x)
            }
        }
    }
}

/// A vector field with state.
fn stateful(storage: &Storage<'_>, ode: &Ode) -> TokenStream {
    let root = root();
    let field = &storage.layers_struct;
    let state = &ode.features();
    let (calls, tensor) = field_calls(storage, ode);
    let (introduced, named) = (storage.generics.introduced(), storage.generics.named());
    let kind = state::stage_state(storage);
    let initial = state::initial(storage, &quote!(self));
    let begin = state::begin(storage, &quote!((*state)));
    let end = state::end(storage);
    let stateless = (HasState::of_chain(&ode.field) == HasState::Perhaps).then(|| {
        quote! {
            #[automatically_derived]
            impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::TensorField<#state, Elem, Dev>
                for #field<#named Elem, Dev>
            where
                #kind: #root::Stateless,
            {
                fn try_eval<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                    &self,
                    t: f64,
                    x: #tensor,
                ) -> #root::Result<#tensor, #root::SolveError> {
                    let state = #root::Stateless::none();
                    let evaluated = #root::StatefulField::try_eval_with_state(
                        self,
                        t,
                        #root::Mode::Inference,
                        &state,
                        x,
                    );
                    evaluated.map(|(x, _)| x)
                }
            }
        }
    });
    let kernels = has_kernels(&ode.field).then(|| Kernels::of(storage, ode));
    let (items, members) = kernels.map_or_else(Default::default, |kernels| {
        let leaves = state::leaves_of(storage, &quote!(self));
        let places = leaves.iter().map(|leaf| &leaf.place);
        let check = quote! {
            fn check_settings(&self) -> #root::Result<(), #root::SolveError> {
                #(#root::Dropout::check_settings(#places)?;)*
                #root::Ok(())
            }
        };
        let Kernels { items, members } = kernels;
        (items, quote!(#members #check))
    });
    quote! {
        #items

        #[automatically_derived]
        impl<#introduced Elem: #root::Dtype, Dev: #root::Device<Elem>> #root::StatefulField<#state, Elem, Dev>
            for #field<#named Elem, Dev>
        {
            type State = #kind;

            #members

            fn try_initial_state(&self, seed: u64) -> #root::Result<Self::State, #root::SolveError> {
                #root::Ok(#initial)
            }

            fn try_eval_with_state<Batch: #root::Dim, Tp: #root::Tape<Elem, Dev>>(
                &self,
                t: f64,
                mode: #root::Mode,
                state: &Self::State,
                x: #tensor,
            ) -> #root::Result<(#tensor, Self::State), #root::SolveError> {
                let (batch, ..) = *#root::HasShape::shape(&x);
                #begin
                #calls
                #root::Ok((x, #end))
            }
        }

        #stateless
    }
}

/// The calls of a field from the state `x` to its derivative `x`, and the type of both.
pub(super) fn field_calls(storage: &Storage<'_>, ode: &Ode) -> (TokenStream, TokenStream) {
    let state = vec![ode.features()];
    let mut shape = state.clone();
    let mut calls = chain_calls(storage, &quote!(self), &mut shape, (&mut true, false));
    calls.extend(meet(&shape, &state));
    // Fields without state have kernels of their own; their operations are for where these do not run.
    let stateful = HasState::of_chain(&ode.field) > HasState::No;
    let way = by_kernels(core::iter::once(&ode.field), stateful);
    (quote!(#way #calls), tensor(&state, &quote!(Tp)))
}

/// The kernels of a field.
pub(super) struct Kernels {
    /// The type of the kernels and what it does.
    pub(super) items: TokenStream,
    /// What the field's trait says of them.
    pub(super) members: TokenStream,
}

impl Kernels {
    pub(super) fn of(storage: &Storage<'_>, ode: &Ode) -> Self {
        let root = root();
        let (field, generics) = (&storage.layers_struct, &storage.generics);
        let kernel = field.as_ref().map(shown);
        let kernel = format_ident!(
            "{}Kernel",
            kernel.map_or_else(String::new, |name| name.to_string())
        );
        let name = kernel::type_of(&kernel, generics);
        let state = &ode.features();
        let lanes = matches!(
            ode.solver.steps,
            Steps::Adaptive {
                sizes: Sizes::PerSample,
                ..
            }
        );
        let lanes = lanes.then(|| {
            quote!(
                const LANES: bool = true;
            )
        });
        Self {
            items: kernel::generate(&kernel, generics, ode),
            members: quote! {
                #lanes

                fn with_kernel<Visitor: #root::KernelVisitor<#state>>(
                    visitor: Visitor,
                ) -> #root::Result<Visitor::Output, Visitor> {
                    #root::Ok(visitor.visit::<#name>())
                }
            },
        }
    }
}

/// The calls of a chain of layers stored at `this`; `shape` is the shape before and, afterwards, behind,
/// `entered` whether the tape has begun, and `check` whether the layer where it does looks at the input.
pub(super) fn chain_calls(
    storage: &Storage<'_>,
    this: &TokenStream,
    shape: &mut Shape,
    (entered, check): (&mut bool, bool),
) -> TokenStream {
    let mut calls = TokenStream::new();
    for (index, layer) in storage.stage.chain().layers.iter().enumerate() {
        let place = if storage.is_indexed() {
            let index = Literal::usize_unsuffixed(index);
            quote!(#this.#index)
        } else {
            this.clone()
        };
        let first = layer.kind.has_parameters() && !*entered;
        if check && !*entered {
            calls.extend(layer::call_before_entry(layer, shape));
        } else {
            calls.extend(meet(shape, &layer.input));
        }
        if first {
            *entered = true;
            calls.extend(layer::first_call(layer, &place, check));
        } else if *entered || !check {
            calls.extend(layer::call(layer, &place));
        }
        shape.clone_from(&layer.output);
    }
    calls
}

/// Says before the calls of the layers of a function whether such layers run by kernels, if there are any.
pub(super) fn by_kernels<'m>(
    mut chains: impl Iterator<Item = &'m Chain>,
    value: bool,
) -> Option<TokenStream> {
    chains.any(any_in).then(|| quote!(let by_kernels = #value;))
}
