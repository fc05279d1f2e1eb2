package identity

import (
	"strings"
	"unicode"
)

// Classes is a set of sorts of characters.
type Classes uint8

// The sorts. A letter of a script without cases is neither upper nor lower, and what is neither letter nor digit nor
// mark is special, a blank too.
const (
	ClassUpper Classes = 1 << iota
	ClassLower
	ClassDigit
	ClassSpecial

	AllClasses = ClassUpper | ClassLower | ClassDigit | ClassSpecial
)

type class struct {
	bit         Classes
	code, words string
	has         func(rune) bool
}

var classes = []class{
	{ClassUpper, "UPPER", "upper-case letter", unicode.IsUpper},
	{ClassLower, "LOWER", "lower-case letter", unicode.IsLower},
	{ClassDigit, "DIGIT", "digit", unicode.IsDigit},
	{ClassSpecial, "SPECIAL", "character that is neither letter nor digit", func(r rune) bool { return !isWordRune(r) }},
}

// missingClasses are those of want that the text has nothing of.
func missingClasses(text string, want Classes) (missing []class) {
	for _, c := range classes {
		if want&c.bit != 0 && !strings.ContainsFunc(text, c.has) {
			missing = append(missing, c)
		}
	}
	return missing
}
