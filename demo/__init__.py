"""The page: a view over ``toolkit.Chatbot`` in the browser, on this machine only.

| file | its one job |
|---|---|
| command | the whole command line: the jobs and the page |
| page | the page of a bot, and the server that shows it |
| widgets | what the page is made of |
| talking | what happens when the widgets are used |
| conversation | what was said in a tab, and the way to stop what is being said |
| sources | the panel beside the answer |
| guard | what the server lets in, and what the page may reach |
| page.css | the looks |
"""

from toolkit.offline import call_nobody

call_nobody()  # gradio looks at its switch when it is imported; later is too late
