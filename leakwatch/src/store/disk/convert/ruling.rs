//! What people have ruled for services: kept as the input that said it.

use crate::input;
use crate::input::Input;
use leakwatch_analysis::model::ruling::Ruling;

pub(in crate::store) fn ruling_to(ruling: &Ruling) -> Vec<u8> {
    input::to_bytes(&Input::Ruling {
        at: ruling.made_at,
        id: ruling.id.clone(),
        ruling: Some(ruling.clone()),
    })
}

pub(in crate::store) fn ruling_from(bytes: &[u8]) -> Option<Ruling> {
    match input::from_bytes(bytes)? {
        Input::Ruling { ruling, .. } => ruling,
        _ => None,
    }
}
