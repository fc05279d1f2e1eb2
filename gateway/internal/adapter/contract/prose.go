package contract

import "strings"

// Descriptions in the documents are written in a little Markdown. What is understood here is what they use: paragraphs,
// lists, `code` and **bold**. Everything else stands as it was written.

// block is a paragraph, or a list when it has more than one item and List is set.
type block struct {
	List  bool
	Items [][]span
}

type span struct {
	Text       string
	Code, Bold bool
}

// prosaic splits a text into blocks.
func prosaic(s string) []block {
	var blocks []block
	var lines []string
	list := false
	flush := func() {
		if len(lines) > 0 && list {
			b := block{List: true}
			for _, l := range lines {
				b.Items = append(b.Items, spans(l))
			}
			blocks = append(blocks, b)
		} else if len(lines) > 0 {
			blocks = append(blocks, block{Items: [][]span{spans(strings.Join(lines, " "))}})
		}
		lines, list = nil, false
	}
	for line := range strings.SplitSeq(s, "\n") {
		trimmed := strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(trimmed, "- ")
		switch {
		case trimmed == "":
			flush()
		case isItem:
			if !list {
				flush()
			}
			list = true
			lines = append(lines, item)
		case list:
			lines[len(lines)-1] += " " + trimmed
		default:
			lines = append(lines, trimmed)
		}
	}
	flush()
	return blocks
}

// spans finds code and bold in a line.
func spans(s string) []span {
	var out []span
	for s != "" {
		i := strings.IndexAny(s, "`*")
		if i < 0 {
			return append(out, span{Text: s})
		}
		mark := "`"
		if s[i] == '*' {
			mark = "**"
		}
		inner, rest, ok := "", "", strings.HasPrefix(s[i:], mark)
		if ok {
			inner, rest, ok = strings.Cut(s[i+len(mark):], mark)
		}
		if !ok {
			out = append(out, span{Text: s[:i+1]})
			s = s[i+1:]
			continue
		}
		if i > 0 {
			out = append(out, span{Text: s[:i]})
		}
		out = append(out, span{Text: inner, Code: mark == "`", Bold: mark == "**"})
		s = rest
	}
	return out
}
