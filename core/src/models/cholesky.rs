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

/// The factor L of a matrix a = L L'.
pub(super) struct Factor(Array2<f64>);

impl Factor {
    /// Of the matrix whose lower triangle is that of `a`.
    ///
    /// A pivot that cancellation left with fewer than about 2 digits counts as 0: it says that the row is a combination of
    /// the rows before it. A NaN is refused too.
    pub fn new(mut a: Array2<f64>) -> Result<Self, NotPositive> {
        let n = a.nrows().min(a.ncols()); // bounds every index below
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
        Ok(Self(a))
    }

    /// Puts the solution of a x = `b` in the place of `b`.
    pub fn solve(&self, b: &mut [f64]) {
        let l = &self.0;
        let n = b.len().min(l.nrows()).min(l.ncols()); // bounds every index below
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[[i, k]] * b[k]).sum();
            b[i] = (b[i] - dot) / l[[i, i]];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[[k, i]] * b[k]).sum();
            b[i] = (b[i] - dot) / l[[i, i]];
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_small_system_is_solved_from_its_lower_triangle() {
        // the upper triangle is wrong on purpose
        let a = array![[4.0, 99.0, 99.0], [2.0, 5.0, 99.0], [-2.0, 1.0, 6.0]];
        let mut b = [4.0 - 4.0 - 6.0, 2.0 - 10.0 + 3.0, -2.0 - 2.0 + 18.0]; // times [1, -2, 3]
        Factor::new(a).unwrap().solve(&mut b);
        for (found, wanted) in b.iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - wanted).abs() < 1e-14, "{b:?}");
        }
    }

    #[test]
    fn a_dependent_row_is_named() {
        let a = array![[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [3.0, 4.0, 7.0]]; // row 2 = row 0 + row 1
        assert_eq!(Factor::new(a).err().unwrap().row, 2);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        assert!(Factor::new(array![[f64::NAN]]).err().unwrap().pivot.is_nan());
        assert!(Factor::new(array![[f64::INFINITY]]).err().unwrap().pivot.is_infinite());
    }
}
