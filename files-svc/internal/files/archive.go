package files

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// MaxArchiveFiles is how many files are packed into one archive at most.
const MaxArchiveFiles = 500

// Selection finds files outside the trash for an archive, all of one moment and in the order asked for. One that is not there,
// or not the caller's, makes all of it fault.NotFound, which names the places of all such.
func (s *Service) Selection(ctx context.Context, owner OwnerID, ids []FileID) (chosen []File, err error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return nil, err
	}
	if err := CheckSelection(ids); err != nil {
		return nil, err
	}
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		chosen = make([]File, 0, len(ids))
		var missing fault.Bad
		for i, id := range ids {
			f, err := s.visibleFile(ctx, tx, owner, id)
			switch {
			case fault.KindOf(err) == fault.NotFound:
				missing.Refuse(fmt.Sprintf("ids[%d]", i), "NOT_FOUND", "no such file")
			case err != nil:
				return err
			}
			chosen = append(chosen, f)
		}
		if len(missing) > 0 {
			return &fault.Error{Kind: fault.NotFound, Detail: "not all of these files are there", Fields: missing}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("select files: %w", err)
	}
	return chosen, nil
}

// CheckSelection refuses the lists that Selection would refuse, as CheckNew does for Create.
func CheckSelection(ids []FileID) error {
	bad := func(code, detail string) error {
		return fault.Validation(fault.Field{Field: "ids", Code: code, Detail: detail})
	}
	if len(ids) == 0 {
		return bad("REQUIRED", "name the files")
	}
	if len(ids) > MaxArchiveFiles {
		return bad("TOO_MANY", fmt.Sprintf("at most %d files", MaxArchiveFiles))
	}
	seen := map[FileID]bool{}
	for _, id := range ids {
		if seen[id] {
			return bad("DUPLICATE", "name each file once")
		}
		seen[id] = true
	}
	return nil
}

// OpenSelected opens the content a file of a selection had then: a replace or a delete since disturbs it no more than a
// reader. When the bytes have been removed since, it opens the newest content, or is fault.NotFound.
func (s *Service) OpenSelected(ctx context.Context, owner OwnerID, f File) (*Content, error) {
	return s.openSeen(ctx, owner, f, func() (File, error) { return s.Get(ctx, owner, f.ID) })
}

// openSeen opens the content a file of the owner had when it was read; where its bytes are gone, what again finds.
func (s *Service) openSeen(ctx context.Context, owner OwnerID, f File, again func() (File, error)) (*Content, error) {
	looked := false
	return s.open(ctx, s.openNow, func() (File, error) {
		if err := s.allow(ctx, owner, "read"); err != nil {
			return File{}, err
		}
		if !looked && f.Owner == owner {
			looked = true
			return f, nil
		}
		return again()
	})
}

const maxEntryBytes = 200 // leaves room for the number of a twin within 255

// ArchiveNames gives each file a name under which it can be unpacked anywhere: no way out of the folder, nothing that some system
// takes for a device or refuses, and no two alike, in any case.
func (s *Service) ArchiveNames(chosen []File) []string {
	taken := map[string]bool{}
	names := make([]string, len(chosen))
	for i, f := range chosen {
		name := SafeName(f.Name)
		ext := path.Ext(name)
		stem := strings.TrimSuffix(name, ext)
		if stem == "" || len(ext) > 32 {
			stem, ext = name, ""
		}
		unique := name
		for n := 2; taken[s.alike(unique)]; n++ {
			unique = stem + " (" + strconv.Itoa(n) + ")" + ext
		}
		taken[s.alike(unique)] = true
		names[i] = unique
	}
	return names
}

// alike is the same for names that some filesystem takes for one: upper case joins what lower case keeps apart, as σ and ς.
func (s *Service) alike(name string) string { return strings.ToUpper(s.fold(name)) }

// SafeName keeps what it can of a name that is to be unpacked anywhere.
func SafeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?"<>|`, r), r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return '_'
		default:
			return r
		}
	}, name)
	for len(name) > maxEntryBytes {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	name = strings.TrimRight(strings.TrimSpace(name), ". ")
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch {
	case name == "":
		return "file"
	case isDevice(strings.TrimSpace(stem)):
		return "_" + name
	default:
		return name
	}
}

// isDevice reports whether Windows takes a name for a device, whatever its extension.
func isDevice(stem string) bool {
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	head, number := stem, ""
	if r, size := utf8.DecodeLastRuneInString(stem); size > 0 && strings.ContainsRune("0123456789¹²³", r) {
		head, number = stem[:len(stem)-size], stem[len(stem)-size:]
	}
	return number != "" && (head == "COM" || head == "LPT")
}
