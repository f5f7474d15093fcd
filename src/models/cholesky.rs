//! Solving a symmetric positive definite system.

use ndarray::Array2;

/// The matrix is not positive definite, as far as rounding lets one tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NotPositive {
    /// The first row that depends on the rows before it.
    pub row: usize,
    /// What is left of its diagonal; not finite where numbers grew too large.
    pub pivot: f64,
}

/// Solves `a` x = `b` by the Cholesky factorisation a = L L'. Only the lower triangle of `a` is read; both arguments are
/// overwritten, `b` with x.
///
/// A pivot that cancellation left with fewer than about 2 digits counts as 0: it says that the row is a combination of
/// the rows before it. A NaN is refused too.
pub(super) fn solve(a: &mut Array2<f64>, b: &mut [f64]) -> Result<(), NotPositive> {
    let n = b.len().min(a.nrows()).min(a.ncols()); // bounds every index below
    for i in 0..n {
        let smallest = a[[i, i]] * f64::EPSILON * 64.0 * n as f64;
        for j in 0..i {
            let dot: f64 = (0..j).map(|k| a[[i, k]] * a[[j, k]]).sum();
            a[[i, j]] = (a[[i, j]] - dot) / a[[j, j]];
        }
        let pivot = a[[i, i]] - (0..i).map(|k| a[[i, k]] * a[[i, k]]).sum::<f64>();
        // written so that NaN is refused
        if !(pivot > smallest && pivot.is_finite()) {
            return Err(NotPositive { row: i, pivot });
        }
        a[[i, i]] = pivot.sqrt();
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| a[[i, k]] * b[k]).sum();
        b[i] = (b[i] - dot) / a[[i, i]];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[[k, i]] * b[k]).sum();
        b[i] = (b[i] - dot) / a[[i, i]];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_small_system_is_solved_from_its_lower_triangle() {
        // the upper triangle is wrong on purpose
        let mut a = array![[4.0, 99.0, 99.0], [2.0, 5.0, 99.0], [-2.0, 1.0, 6.0]];
        let mut b = [4.0 - 4.0 - 6.0, 2.0 - 10.0 + 3.0, -2.0 - 2.0 + 18.0]; // times [1, -2, 3]
        solve(&mut a, &mut b).unwrap();
        for (found, wanted) in b.iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - wanted).abs() < 1e-14, "{b:?}");
        }
    }

    #[test]
    fn a_dependent_row_is_named() {
        let mut a = array![[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [3.0, 4.0, 7.0]]; // row 2 = row 0 + row 1
        assert_eq!(solve(&mut a, &mut [1.0; 3]).unwrap_err().row, 2);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        assert!(solve(&mut array![[f64::NAN]], &mut [1.0]).unwrap_err().pivot.is_nan());
        assert!(solve(&mut array![[f64::INFINITY]], &mut [1.0]).unwrap_err().pivot.is_infinite());
    }
}
