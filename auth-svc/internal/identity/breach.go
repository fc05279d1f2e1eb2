package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// Breached knows passwords that guessers try first. It may take a word it does not know for one that it knows, rarely
// enough that nobody meets it.
type Breached interface {
	// Contains is asked for folded words.
	Contains(word string) bool
}

const (
	minCommonWord = 4 // shorter words stand in good passwords too
	maxTrimmings  = 6 // so many digits and signs around a common word don't help it
)

// checkCommon refuses what guessers try first: common passwords and words with a few digits and signs around them, walks
// over the keyboard, runs and repetitions, and the names of this very service.
func (s *Service) checkCommon(field, password string) []fault.Field {
	folded := fold(password)
	if len(folded) > maxPasswordBytes {
		return nil
	}
	for _, v := range []string{folded, plain.Replace(folded)} {
		if half := v[:len(v)/2]; len(v)%2 == 0 && half+half == v {
			v = half // typed twice
		}
		if s.common(v) {
			return []fault.Field{{Field: field, Code: "TOO_COMMON", Detail: "must not be a password that others use, or a word with a few digits or signs"}}
		}
	}
	return nil
}

func (s *Service) common(v string) bool {
	if isPattern(v) {
		return true
	}
	word := strings.TrimFunc(v, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, w := range []string{v, strings.TrimRightFunc(v, notWord), word} {
		if utf8.RuneCountInString(v)-utf8.RuneCountInString(w) > maxTrimmings || utf8.RuneCountInString(w) < minCommonWord {
			continue
		}
		if s.opts.Breached.Contains(w) || s.opts.Breached.Contains(plain.Replace(w)) || isPattern(w) {
			return true
		}
	}
	for _, own := range s.opts.OwnNames {
		if own = fold(own); len(own) >= minCommonWord && word == own {
			return true
		}
	}
	return false
}

// plain undoes the replacements that everybody knows.
var plain = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// walks are the ways fingers go by themselves.
var walks = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop",
	"qwertyuiopasdfghjklzxcvbnm", "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
}

// isPattern finds a walk in either direction, and what is made of one or two characters.
func isPattern(v string) bool {
	if len(v) < minCommonWord {
		return false
	}
	kinds := map[rune]bool{}
	for _, r := range v {
		kinds[r] = true
	}
	if len(kinds) <= 2 {
		return true
	}
	for _, w := range walks {
		if strings.Contains(w, v) || strings.Contains(w, backwards(v)) {
			return true
		}
	}
	return false
}

func backwards(v string) string {
	runes := []rune(v)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}
