package run

import (
	"errors"
	"strings"
)

// Places is a flag that may be given several times, once for each place that something is read from.
type Places []string

// String is the places as a person reads them.
func (p *Places) String() string { return strings.Join(*p, ", ") }

// Set adds a place.
func (p *Places) Set(place string) error {
	if place == "" {
		return errors.New("it is empty")
	}
	*p = append(*p, place)
	return nil
}
