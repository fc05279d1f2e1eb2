// Package lines reads long texts line by line with memory for one line, as imports do: a line that is longer than the reader's buffer
// is passed over and told of, and the ones behind it are read as if it had not been there.
package lines

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Next reads up to and with a line's end, or the text's. The line is the reader's memory and holds until the next call. Of a line longer
// than the reader's buffer nothing is kept: tooLong says so. pass, if given, gets every byte in its order, also those of lines that are
// too long. At the end of the text the error is io.EOF.
func Next(in *bufio.Reader, pass func([]byte)) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if pass != nil {
			pass(part)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			tooLong = true
		case errors.Is(err, io.EOF) && len(part) == 0 && !tooLong:
			return nil, false, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, false, fmt.Errorf("read a line: %w", err)
		case tooLong:
			return nil, true, nil
		default:
			return part, false, nil
		}
	}
}
