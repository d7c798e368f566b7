package identity

import "strings"

// junk are values that many senders write where they know nothing: whoever has one is not the same person as the next. Lower case.
var junk = map[string]bool{}

func init() {
	for _, list := range []string{
		"null undefined none nil nan nul void empty n/a na n.a. (null) (none) (not set) (not-set) [object object] <null> ''",
		"unknown anonymous anon anonymoususer anonymous_user guest not_set notset not-set not_available unavailable unidentified default dummy",
		"true false -1",
		"test tester testing test@test.com test@test.de test@example.com test@example.org test@email.com test@mail.com test@gmail.com a@a.com a@b.com",
		"noreply@example.com none@none.com no@email.com noemail@noemail.com null@null.com unknown@unknown.com guest@guest.com anonymous@anonymous.com",
		"ffffffff-ffff-ffff-ffff-ffffffffffff",
	} {
		for _, value := range strings.Fields(list) {
			junk[value] = true
		}
	}
	junk["(not set)"], junk["[object object]"] = true, true
}

// isJunk reports whether a normalized value is one that identifies nobody: one of the list, or nothing but zeros, such as a device's
// answer when its owner refuses to be tracked.
func isJunk(value string) bool {
	zeros := true
	for i := range len(value) {
		if c := value[i]; c != '0' && c != '-' && c != ':' && c != '.' {
			zeros = false
			break
		}
	}
	if zeros {
		return strings.ContainsRune(value, '0')
	}
	if len(value) > 40 {
		return false
	}
	if junk[value] {
		return true
	}
	lower := strings.ToLower(value) // the same text, without an allocation, where it is in lower case
	return lower != value && junk[lower]
}
