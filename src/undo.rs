//! Write-ahead undo records, their replay, and the guardian.
