package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// duplicate makes a copy of a sparse file: one that shares its blocks where the file system can do that (ioctl_ficlone(2)),
// else one of the parts that hold data.
func duplicate(ctx context.Context, from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	next := to + ".next"
	target, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer target.Close()
	if unix.IoctlFileClone(int(target.Fd()), int(source.Fd())) != nil {
		err = copyData(ctx, source, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, to)
}

// piece is how much is copied between two looks at the deadline.
const piece = 16 << 20

func copyData(ctx context.Context, source, target *os.File) error {
	size, err := source.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := target.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		begin, err := source.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole is left (lseek(2))
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for data: %w", err)
		}
		end, err := source.Seek(begin, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("looking for a hole: %w", err)
		}
		for at = begin; at < end; {
			if ctx.Err() != nil {
				return fmt.Errorf("%d of %d bytes looked at: %w", at, size, context.Cause(ctx))
			}
			length := min(end-at, piece)
			copied, err := io.Copy(io.NewOffsetWriter(target, at), io.NewSectionReader(source, at, length))
			if err == nil && copied < length {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return fmt.Errorf("copying: %w", err)
			}
			at += copied
		}
	}
	return nil
}
