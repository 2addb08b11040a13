//! Tensors that a library stores in several parts.

pub(crate) use finetune_methods::hf_peft::{Part, parts};

/// The rows of each part of a tensor with so many rows: the stored ones as they are, zeros for the rest.
/// `None` if they do not make that many.
pub(crate) fn rows_of_parts(stored: &[Option<usize>], rows: usize) -> Option<Vec<usize>> {
    let known: usize = stored.iter().flatten().sum();
    let zeros = stored.iter().filter(|part| part.is_none()).count();
    let left = rows.checked_sub(known)?;
    let share = match zeros {
        0 if left == 0 => 0,
        0 => return None,
        _ if left % zeros == 0 => left / zeros,
        _ => return None,
    };
    Some(stored.iter().map(|part| part.unwrap_or(share)).collect())
}

#[cfg(test)]
mod tests {
    use super::rows_of_parts;

    #[test]
    fn zeros_have_the_rows_that_are_left() {
        assert_eq!(rows_of_parts(&[Some(3)], 3), Some(vec![3]));
        assert_eq!(rows_of_parts(&[Some(3)], 4), None);
        assert_eq!(
            rows_of_parts(&[Some(4), None, Some(4)], 12),
            Some(vec![4; 3])
        );
        assert_eq!(rows_of_parts(&[None, Some(5)], 6), Some(vec![1, 5]));
        assert_eq!(rows_of_parts(&[Some(7), None], 6), None);
    }
}
