/* A webcam in user space, loaded with LD_PRELOAD: a file becomes a V4L2 capture device.
 *
 * It replaces only ioctl(), for descriptors of files named "video<N>" whose directory is in FAKE_V4L2. The file
 * holds the buffers, so that mmap() works unchanged; removing it unplugs the camera. A file is always ready for
 * select(), so VIDIOC_DQBUF blocks until the next picture is due.
 *
 * It delivers YUYV at 64x48 (30 fps) and 128x96 (30 or 15 fps), chooses the nearest supported settings, as
 * drivers do, and films grey pictures that encode their number in the RGB level 16 + 16 * (number modulo 14).
 * Structures and constants are those of linux/videodev2.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_BUFFERS 8

static const unsigned sizes[2][2] = {{64, 48}, {128, 96}};
static unsigned which, rate = 30, buffers, streaming, number;
static unsigned queue[MOST_BUFFERS], queued;
static struct timespec due;

static unsigned image_bytes(void) { return sizes[which][0] * sizes[which][1] * 2; }
static unsigned buffer_bytes(void) { return (image_bytes() + 4095) & ~4095u; }

static int refuse(int reason)
{
    errno = reason;
    return -1;
}

/* 1: ours; 0: not; -1: ours, unplugged. */
static int is_ours(int descriptor)
{
    const char *directory = getenv("FAKE_V4L2");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (directory == NULL || length < 0)
        return 0;
    path[length] = 0;
    size_t prefix = strlen(directory);
    if (strncmp(path, directory, prefix) || strncmp(path + prefix, "/video", 6))
        return 0;
    struct stat status;
    return fstat(descriptor, &status) || status.st_nlink == 0 ? -1 : 1;
}

static void describe(struct v4l2_pix_format *pix)
{
    unsigned field = V4L2_FIELD_NONE;
    memset(pix, 0, sizeof *pix);
    pix->width = sizes[which][0], pix->height = sizes[which][1], pix->field = field;
    pix->pixelformat = V4L2_PIX_FMT_YUYV, pix->bytesperline = 2 * pix->width, pix->sizeimage = image_bytes();
    pix->colorspace = V4L2_COLORSPACE_SRGB;
}

static void film(int descriptor, unsigned index)
{
    unsigned char *picture = mmap(NULL, buffer_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                                  (off_t)index * buffer_bytes());
    if (picture == MAP_FAILED)
        return;
    for (unsigned at = 0; at < image_bytes(); at += 2)
        picture[at] = 16 + (16 + 16 * (number % 14)) * 219 / 255, picture[at + 1] = 128;
    munmap(picture, buffer_bytes());
}

static int take_picture(int descriptor, struct v4l2_buffer *buffer)
{
    if (!streaming || !queued)
        return refuse(EINVAL);
    due.tv_nsec += 1000000000 / rate;
    if (due.tv_nsec >= 1000000000)
        due.tv_nsec -= 1000000000, due.tv_sec++;
    /* Pictures that nobody was ready for are lost; they do not come in a burst. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > due.tv_sec || (now.tv_sec == due.tv_sec && now.tv_nsec > due.tv_nsec))
        due = now;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    if (is_ours(descriptor) < 0)
        return refuse(ENODEV);
    unsigned index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof *queue);
    film(descriptor, index);
    buffer->index = index, buffer->length = buffer->bytesused = image_bytes(), buffer->sequence = number++;
    buffer->m.offset = index * buffer_bytes();
    buffer->timestamp.tv_sec = due.tv_sec, buffer->timestamp.tv_usec = due.tv_nsec / 1000;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return 0;
}

static int answer(int descriptor, unsigned long request, void *argument)
{
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *about = argument;
        memset(about, 0, sizeof *about);
        /* A file without buffers has just been plugged in. */
        struct stat status;
        if (!fstat(descriptor, &status) && status.st_size == 0)
            which = streaming = queued = 0, rate = 30;
        strcpy((char *)about->driver, "fake"), strcpy((char *)about->card, "A webcam in user space");
        about->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        about->capabilities = about->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index > 0)
            return refuse(EINVAL);
        format->pixelformat = V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index > 1 || size->pixel_format != V4L2_PIX_FMT_YUYV)
            return refuse(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = sizes[size->index][0], size->discrete.height = sizes[size->index][1];
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *interval = argument;
        if (interval->index > (interval->width == sizes[1][0]))
            return refuse(EINVAL);
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete.numerator = 1, interval->discrete.denominator = interval->index ? 15 : 30;
        return 0;
    }
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index > 0)
            return refuse(EINVAL);
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return *(int *)argument ? refuse(EINVAL) : 0;
    case VIDIOC_G_FMT:
        describe(&((struct v4l2_format *)argument)->fmt.pix);
        return 0;
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT: {
        struct v4l2_pix_format *pix = &((struct v4l2_format *)argument)->fmt.pix;
        unsigned before = which;
        if (request == VIDIOC_S_FMT && streaming)
            return refuse(EBUSY);
        which = pix->width > (sizes[0][0] + sizes[1][0]) / 2;
        describe(pix);
        if (request == VIDIOC_TRY_FMT)
            which = before;
        return 0;
    }
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_captureparm *capture = &((struct v4l2_streamparm *)argument)->parm.capture;
        if (request == VIDIOC_S_PARM && capture->timeperframe.numerator)
            rate = capture->timeperframe.denominator / capture->timeperframe.numerator < 23 && which ? 15 : 30;
        capture->capability = V4L2_CAP_TIMEPERFRAME;
        capture->timeperframe.numerator = 1, capture->timeperframe.denominator = rate;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->memory != V4L2_MEMORY_MMAP)
            return refuse(EINVAL);
        buffers = wanted->count = wanted->count > MOST_BUFFERS ? MOST_BUFFERS : wanted->count;
        queued = 0;
        return ftruncate(descriptor, (off_t)buffers * buffer_bytes());
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= buffers)
            return refuse(EINVAL);
        buffer->length = image_bytes(), buffer->m.offset = buffer->index * buffer_bytes();
        return 0;
    }
    case VIDIOC_QBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= buffers || queued == MOST_BUFFERS)
            return refuse(EINVAL);
        queue[queued++] = buffer->index;
        return 0;
    }
    case VIDIOC_DQBUF:
        return take_picture(descriptor, argument);
    case VIDIOC_STREAMON:
        clock_gettime(CLOCK_MONOTONIC, &due);
        streaming = 1;
        return 0;
    case VIDIOC_STREAMOFF:
        streaming = queued = 0;
        return 0;
    default:
        return refuse(ENOTTY);
    }
}

int ioctl(int descriptor, unsigned long request, ...)
{
    static int (*kernel)(int, unsigned long, void *);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (kernel == NULL)
        *(void **)&kernel = dlsym(RTLD_NEXT, "ioctl");
    int ours = is_ours(descriptor);
    if (ours == 0)
        return kernel(descriptor, request, argument);
    return ours < 0 ? refuse(ENODEV) : answer(descriptor, (unsigned)request, argument);
}
