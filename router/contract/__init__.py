"""The shared words: all that a plugin may import from the router.

Import the module that holds the word (`from router.contract.speech import SpeechOrder`). This
package stays light, because every plugin runs it: it imports msgspec, pluggy and the standard
library, nothing else.
"""
