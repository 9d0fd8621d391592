//! What a matrix of cells needs that knows nothing of what the cells are: which combinations of values to
//! try ([`pairs`]), and the table that tells how each ended ([`table`]).

pub mod pairs;
pub mod table;
