package run

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

// Base is the folder where relative paths of resources begin, for commands that work beside a service which runs in another folder.
// Empty is the working directory.
type Base string

// Flag adds --base to a command.
func (b *Base) Flag(fs *flag.FlagSet) {
	fs.StringVar((*string)(b), "base", "", "folder where relative paths of the resources begin, such as the stack's data folder (default: the working directory)")
}

// Lost adds to a failure over a missing file where else it may be looked for.
func (b Base) Lost(err error) error {
	if b == "" && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; relative paths begin in the working directory unless --base says where, such as the stack's data folder", err)
	}
	return err
}
