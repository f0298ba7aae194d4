import gradio as gr


def reverse(text):
    return text[::-1]


demo = gr.Interface(fn=reverse, inputs=gr.Textbox(), outputs=gr.Textbox())
demo.launch(server_name="0.0.0.0", server_port=8000)
