"""A bot behind OpenAI's interface: ``housevoice serve``.

| file | its one job |
|---|---|
| limits | how much a server takes; the page of the demo keeps to the same |
| listening | taking a port, and running an application on it until Ctrl-C |
| access | who may ask: the key, and the guard at the door |
| errors | refusals in OpenAI's shape |
| requests | what clients send, read and checked |
| responses | what they are sent |
| queueing | one job at a time on the model, in fair turns, each to be stopped |
| work | what a bot does for its clients |
| metrics | counts and seconds |
| app | the endpoints |
| serve | a bot, until Ctrl-C |
"""
