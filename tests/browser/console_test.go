package browser

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

const chooser = "document.getElementById('choose')"

func TestConsole_HandsInSharesAndRevokes(t *testing.T) {
	keeping := harness.Replace(t, "kind: StoragePolicy\nmetadata:\n  name: default\nspec:\n", "kind: StoragePolicy\nmetadata:\n  name: default\nspec:\n  versionsKept: 5\n")
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, keeping))
	p := openConsole(t, stack)
	p.signUp()
	p.choose(chooser, "holiday plan.txt", 2000)
	p.sees("Stored")
	p.until("the file in the list", `control('Details of holiday plan.txt', 'button')`)

	p.press("Share holiday plan.txt")
	p.press("Make a link")
	p.sees("Copy it now")
	var address string
	p.run("document.querySelector('.address').value", &address)
	at, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(at.Path, "/l/") {
		t.Fatalf("the link is %q", address)
	}
	stranger := harness.NewClient(t, stack.Public)
	if got := stranger.Do("GET", at.Path, nil).Is(200); len(got.Body) != 2000 {
		t.Errorf("a stranger reads %d bytes", len(got.Body))
	}
	p.press("Revoke")
	p.sees("opens nothing any more")
	stranger.Do("GET", at.Path, nil).Is(404)
	p.press("Close")

	p.press("Details of holiday plan.txt")
	p.until("the chooser of a version", "document.getElementById('replace')")
	p.choose("document.getElementById('replace')", "whatever.txt", 3000)
	p.sees("The new version is stored")
	p.sees("version 2")
	p.press("Details of holiday plan.txt")
	p.press("Bring back")
	p.sees("Version 1 is the newest again")
	p.sees("version 3")
	folder := t.TempDir()
	p.do("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": folder}, nil)
	p.press("Download holiday plan.txt")
	arrived(t, filepath.Join(folder, "holiday plan.txt"), 2000)

	p.press("Rename holiday plan.txt")
	p.write("Name", "plan.txt")
	p.press("Rename")
	p.press("Delete plan.txt")
	p.sees("Nothing here yet")
	p.press("Trash")
	p.press("Restore plan.txt")
	p.sees("The trash is empty")
	p.press("Files")
	p.until("the file is back", `control('Details of plan.txt', 'button')`)
}

// arrived waits for a file of a download.
func arrived(t *testing.T, path string, size int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if f, err := os.Stat(path); err == nil && f.Size() == size {
			return
		}
	}
	t.Fatalf("%s has not come", path)
}

func TestConsole_InterruptedUploadGoesOn(t *testing.T) {
	const size = 20 << 20
	stack := harness.Start(t)
	p := openConsole(t, stack)
	name := p.signUp()
	p.network(false, 8<<20)
	p.choose(chooser, "film.bin", size)
	p.until("the first piece is durable", `Object.values(localStorage).some(v => v.includes('film.bin') && JSON.parse(v).sent >= 8 << 20)`)
	p.network(true, 0)
	p.sees("Waiting for the connection")

	p.do("Network.setBlockedURLs", map[string]any{"urls": []string{"*/v1/uploads/*"}}, nil) // and the page goes before it goes on
	p.network(false, 0)
	p.do("Page.reload", nil, nil)
	p.sees("Choose the same file again")
	p.do("Network.setBlockedURLs", map[string]any{"urls": []string{}}, nil)
	p.choose("document.querySelector('#uploads input')", "other.bin", 10)
	p.sees("That is another file")
	p.do("Network.deleteCookies", map[string]any{"name": "__Host-access", "url": p.base}, nil) // as when it is spent meanwhile
	p.choose("document.querySelector('#uploads input')", "film.bin", size)
	p.sees("Stored")
	var begunAgain bool
	if p.run(`performance.getEntriesByType('resource').some(e => e.name.endsWith('/v1/uploads'))`, &begunAgain); begunAgain {
		t.Error("it began anew")
	}
	owner := harness.NewClient(t, stack.Public).LogIn(name, harness.Password)
	var list struct{ Items []harness.File }
	if owner.Do("GET", "/v1/files", nil).Is(200).JSON(&list); len(list.Items) != 1 || list.Items[0].Size != size {
		t.Fatalf("there is %+v", list.Items)
	}
	got := owner.Do("GET", "/v1/files/"+list.Items[0].ID+"/content", nil).Is(200).Body
	for i, b := range got {
		if b != byte(i*31+i>>8) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

func TestConsole_SessionEndedElsewhereShowsTheWayIn(t *testing.T) {
	stack := harness.Start(t)
	p := openConsole(t, stack)
	name := p.signUp()
	other := harness.NewClient(t, stack.Public).LogIn(name, harness.Password)
	p.press("Account")
	p.sees("this one")
	other.Do("POST", "/v1/auth/logout-all", map[string]bool{"keep_current": true}).Is(200)
	p.press("Files")
	p.sees("You were signed out")
	p.signIn(name, harness.Password)
	p.press("Sign out")
	p.sees("Make an account")
	var left int
	if p.run("localStorage.length", &left); left != 0 {
		t.Errorf("%d things are left in the browser", left)
	}
}

// Names of files and people are other people's words. None of them may become more than words.
func TestConsole_NamesAreInert(t *testing.T) {
	stack := harness.Start(t)
	const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script>'"&amp;`
	person := harness.NewClient(t, stack.Public).SignUp()
	person.Do("PATCH", "/v1/users/me", map[string]string{"name": evil}).Is(200)
	person.Do("POST", "/v1/files", []byte("x"), harness.Header("Content-Type", "text/html"),
		harness.Header("Content-Disposition", "attachment; filename*=UTF-8''"+strings.ReplaceAll(url.QueryEscape(evil), "+", "%20"))).Is(201)
	p := openConsole(t, stack)
	p.signIn(person.User.Username, harness.Password)
	p.sees(evil)
	p.press("Details of " + evil)
	p.sees("SHA-256")
	p.press("Close")
	p.press("Sign out")
	admin := stack.Bootstrap().Admin
	p.signIn(admin.Username, admin.Password)
	p.press("People")
	p.until("the person by name", fmt.Sprintf("control(%q, 'button')", "Block "+evil))
	var owned bool
	if p.run("Boolean(window.owned) || Boolean(document.querySelector('main script, main img'))", &owned); owned {
		t.Error("a name became markup")
	}
}

func TestConsole_SecondStepByAppAndPasskey(t *testing.T) {
	stack := harness.Start(t)
	p := openConsole(t, stack)
	p.authenticator()
	name := p.signUp()
	p.press("Account")
	p.press("Add an app")
	p.sees("Type this key")
	var key string
	p.run("document.querySelector('.key').textContent.replaceAll(' ', '')", &key)
	p.write("Code", "000000")
	p.press("Confirm")
	p.sees("did not match")
	p.write("Code", appCode(t, key))
	p.press("Confirm")
	p.sees("Recovery codes")
	var recovery string
	p.run("document.querySelector('.codes code').textContent", &recovery)
	p.press("Close")
	p.press("Sign out")

	p.write("Email, phone or username", name)
	p.write("Password", harness.Password)
	p.press("Sign in")
	p.sees("One more step")
	p.write("Code", recovery)
	p.press("Go on")
	p.press("Account")
	p.press("Add a passkey")
	p.sees("The passkey is added")
	p.press("Sign out")
	p.press("Sign in with a passkey")
	p.sees(name)
	p.press("Account")
	p.sees("9 recovery codes left")
}

// appCode is what an authenticator app with this key shows now (RFC 6238).
func appCode(t *testing.T, key string) string {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, time.Now().Unix()/30)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1000000)
}

func TestConsole_AdministratorBlocksAndUnblocks(t *testing.T) {
	stack := harness.Start(t)
	person := harness.NewClient(t, stack.Public).SignUp()
	name := person.User.Username
	p := openConsole(t, stack)
	admin := stack.Bootstrap().Admin
	p.signIn(admin.Username, admin.Password)
	p.press("People")
	p.write("Search", name)
	p.press("Sessions of " + name)
	p.press("End all")
	p.sees("1 session has ended")
	person.Do("GET", "/v1/users/me", nil).Is(401)
	p.press("Close")
	p.press("Block " + name)
	p.press("Block")
	p.sees("is blocked.")
	person.Fresh().Do("POST", "/v1/auth/login", map[string]string{"identifier": name, "password": harness.Password}).Is(403)
	p.press("Unblock " + name)
	p.sees("is active again")
	p.press("Audit")
	p.sees("session.login")
}

// What a checker of accessibility finds first: controls without names, ids twice, a page without a heading or language, and
// controls that the keyboard does not reach.
const inaccessible = `(() => { const found = []
const name = n => (n.getAttribute('aria-label') || (n.getAttribute('aria-labelledby') && document.getElementById(n.getAttribute('aria-labelledby'))?.textContent) || n.labels?.[0]?.textContent || n.textContent || '').trim()
for (const n of document.querySelectorAll('button, a, input, select, dialog, nav, progress')) if (n.checkVisibility() && !name(n)) found.push('no name: ' + n.outerHTML)
for (const n of document.querySelectorAll('img')) if (!n.hasAttribute('alt')) found.push('no alt: ' + n.outerHTML)
const ids = [...document.querySelectorAll('[id]')].map(n => n.id)
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push('twice: ' + id)
if (document.querySelectorAll('h1').length !== 1) found.push('headings of the page: ' + document.querySelectorAll('h1').length)
if (document.querySelectorAll('main').length !== 1) found.push('mains: ' + document.querySelectorAll('main').length)
if (!document.documentElement.lang || !document.title) found.push('no language or title')
for (const n of document.querySelectorAll('button, a[href], input:not([type=file]), select')) if (n.tabIndex < 0) found.push('not by keyboard: ' + n.outerHTML)
if (document.documentElement.scrollWidth > innerWidth) found.push('wider than the screen: ' + document.documentElement.scrollWidth)
const light = c => { const [r, g, b] = c.match(/[\d.]+/g).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b }
const behind = n => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor; if (!/, 0\)$/.test(c)) return c } return 'rgb(255,255,255)' }
for (const n of document.querySelectorAll('p, small, label, button, a, dd, dt, h1, h2, h3, span, em')) if (n.checkVisibility() && n.innerText && !n.disabled && !n.closest('[aria-hidden]')) {
  const [a, b] = [light(getComputedStyle(n).color), light(behind(n))].sort((x, y) => y - x)
  if ((a + .05) / (b + .05) < 4.5) found.push('faint: ' + n.textContent + ' ' + getComputedStyle(n).color + ' on ' + behind(n)) }
return found })()`

func TestConsole_IsUsableByEverybody(t *testing.T) {
	stack := harness.Start(t)
	p := openConsole(t, stack)
	check := func(where string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
				{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
			}}, nil)
			for _, width := range []int{360, 1280} {
				p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false}, nil)
				var found []string
				if p.run(inaccessible, &found); len(found) > 0 {
					t.Errorf("%s, %s, %d wide: %s", where, scheme, width, strings.Join(found, "\n"))
				}
			}
		}
	}
	p.sees("Make an account")
	check("sign-in")
	admin := stack.Bootstrap().Admin
	p.signIn(admin.Username, admin.Password)
	p.choose(chooser, strings.Repeat("a long name ", 12)+".txt", 100)
	p.sees("Stored")
	for _, part := range []string{"Files", "Trash", "Account", "People", "Audit"} {
		p.press(part)
		p.until(part, fmt.Sprintf("document.querySelector('h1')?.textContent === %q && !document.querySelector('.page[aria-busy]')", part))
		check(part)
	}
	p.press("Files")
	p.until("files", "document.querySelector('.rows li[data-id] button')")
	var done bool
	p.run("document.querySelector('.rows li[data-id] button').click(), true", &done)
	p.sees("Versions")
	check("details")
}
